#include "search/water_filling.hpp"

#include <algorithm>
#include <numeric>

namespace gem {
namespace {

struct Weights {
  std::int64_t tiles;
  std::int64_t experts;
};

// Reading an expert's weights takes as long as part of a tile to a hundred tiles.
constexpr Weights weights_tried[] = {{1, 0}, {4, 1}, {2, 1}, {1, 1}, {1, 2}, {1, 4}, {1, 8}, {1, 16}, {1, 32}, {0, 1}};

// The least entry at this or any larger load: a tile more, or an expert more with its tile.
std::vector<std::int32_t> least_time_from(const LatencyTables& tables) {
  std::vector<std::int32_t> least(tables.key_count(), INT32_MAX);
  for (std::size_t d = 0; d < tables.device_count(); ++d)
    for (std::size_t key = 0; key < least.size(); ++key) least[key] = std::min(least[key], tables.of(d)[key]);
  const bool surface = tables.keys().features == LoadFeatures::TilesAndExperts;
  const std::size_t radix = static_cast<std::size_t>(tables.keys().experts_per_device) + 1;
  const std::size_t tile = surface ? radix : 1;
  for (std::size_t key = least.size(); key-- > 1;) {
    if (key + tile < least.size()) least[key] = std::min(least[key], least[key + tile]);
    if (surface && key % radix + 1 < radix && key + tile + 1 < least.size())
      least[key] = std::min(least[key], least[key + tile + 1]);
  }
  return least;
}

}  // namespace

WaterFilling::WaterFilling(const LatencyTables& tables) : tables_(&tables), least_time_(least_time_from(tables)) {
  for (const Weights& weights : weights_tried) {
    capacities_.push_back({weights.tiles, weights.experts, {}, {}});
    fill(capacities_.back());
    if (tables.keys().features == LoadFeatures::Tokens) return;  // one kind of load: any weight is the same
  }
}

std::int64_t WaterFilling::weighted(const Capacity& weights, std::int64_t key) const {
  if (tables_->keys().features == LoadFeatures::Tokens) return key;
  const std::int64_t radix = tables_->keys().experts_per_device + 1;
  return weights.tile_weight * (key / radix) + weights.expert_weight * (key % radix);
}

void WaterFilling::fill(Capacity& capacity) const {
  const LoadKeys& keys = tables_->keys();
  struct Entry {
    std::int32_t time;
    std::int64_t load;
  };
  std::vector<Entry> gains;  // from this time on one device can carry so much more
  std::vector<Entry> entries;
  for (std::size_t d = 0; d < tables_->device_count(); ++d) {
    entries.clear();
    const auto table = tables_->of(d);
    for (std::size_t key = 1; key < table.size(); ++key) {
      const auto narrow = static_cast<std::int32_t>(key);
      const bool possible = keys.features == LoadFeatures::Tokens ||
                            (keys.active_experts(narrow) > 0 && keys.active_experts(narrow) <= keys.tiles(narrow));
      if (possible) entries.push_back({table[key], weighted(capacity, narrow)});
    }
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.time < b.time; });
    std::int64_t most = 0;
    for (const Entry& entry : entries) {
      if (entry.load <= most) continue;
      gains.push_back({entry.time, entry.load - most});
      most = entry.load;
    }
  }
  std::sort(gains.begin(), gains.end(), [](const Entry& a, const Entry& b) { return a.time < b.time; });
  std::int64_t sum = 0;
  for (const Entry& gain : gains) {
    sum += gain.load;
    capacity.time.push_back(gain.time);
    capacity.load.push_back(sum);
  }
}

std::int64_t WaterFilling::bound(const LayerProblem& problem) const {
  const std::size_t steps = problem.step_count();
  std::vector<std::int32_t> bound(steps, 0);
  for (std::size_t e = 0; e < problem.expert_count(); ++e) {
    const std::int32_t* const keys = problem.keys(static_cast<std::int32_t>(e));
    for (std::size_t t = 0; t < steps; ++t)
      if (keys[t] > 0) bound[t] = std::max(bound[t], least_time_[static_cast<std::size_t>(keys[t])]);
  }
  std::vector<std::int64_t> total(steps);
  for (const Capacity& capacity : capacities_) {
    std::fill(total.begin(), total.end(), 0);
    for (std::size_t e = 0; e < problem.expert_count(); ++e) {
      const std::int32_t* const keys = problem.keys(static_cast<std::int32_t>(e));
      for (std::size_t t = 0; t < steps; ++t) total[t] += weighted(capacity, keys[t]);
    }
    for (std::size_t t = 0; t < steps; ++t) {
      if (total[t] == 0) continue;
      const auto enough = std::lower_bound(capacity.load.begin(), capacity.load.end(), total[t]);
      if (enough != capacity.load.end())
        bound[t] = std::max(bound[t], capacity.time[static_cast<std::size_t>(enough - capacity.load.begin())]);
    }
  }
  return std::accumulate(bound.begin(), bound.end(), std::int64_t{0});
}

}  // namespace gem
