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
std::vector<std::int32_t> least_time_from(const LatencyTables& tables, std::size_t first_device) {
  std::vector<std::int32_t> least(tables.key_count(), INT32_MAX);
  for (std::size_t d = first_device; d < tables.device_count(); ++d)
    for (std::size_t key = 0; key < least.size(); ++key) least[key] = std::min(least[key], tables.even(d)[key]);
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

WaterFilling::WaterFilling(const LatencyTables& tables, std::size_t first_device, bool experts_are_whole)
    : tables_(&tables),
      device_count_(tables.device_count() - first_device),
      tile_key_(tables.keys().features == LoadFeatures::Tokens ? 1 : tables.keys().experts_per_device + 1),
      least_time_from_(experts_are_whole ? least_time_from(tables, first_device) : std::vector<std::int32_t>{}) {
  for (const Weights& weights : weights_tried) {
    capacities_.push_back({weights.tiles, weights.experts, {}});
    fill(capacities_.back(), first_device);
    if (tables.keys().features == LoadFeatures::Tokens) return;  // one kind of load: any weight is the same
  }
}

void WaterFilling::fill(Capacity& capacity, std::size_t first_device) const {
  const bool surface = tables_->keys().features == LoadFeatures::TilesAndExperts;
  struct Entry {
    std::int32_t time;
    std::int64_t load;
  };
  std::vector<Entry> gains;  // from this time on one device can carry so much more
  std::vector<Entry> entries;
  for (std::size_t d = first_device; d < tables_->device_count(); ++d) {
    entries.clear();
    const auto table = tables_->even(d);
    for (std::size_t key = 1; key < table.size(); ++key) {
      const std::int64_t tiles = static_cast<std::int32_t>(key) / tile_key_;
      const std::int64_t active = static_cast<std::int32_t>(key) % tile_key_;
      // On the surface, a device has at least one active expert, and each has a tile.
      if (surface && (active == 0 || active > tiles)) continue;
      entries.push_back({table[key], capacity.tile_weight * tiles + capacity.expert_weight * active});
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
  capacity.least_time.assign(1, 0);  // no load, no time
  std::int64_t carried = 0;
  for (const Entry& gain : gains) {
    carried += gain.load;
    capacity.least_time.resize(static_cast<std::size_t>(carried) + 1, gain.time);
  }
}

void WaterFilling::step_bounds(const LayerProblem& problem, std::span<const std::int32_t> experts,
                               std::vector<std::int32_t>& bounds) const {
  const std::size_t steps = problem.padded_steps();
  const std::int32_t radix = tile_key_;
  bounds.assign(steps, 0);
  std::vector<std::int32_t> tiles(steps, 0), active(steps, 0);
  for (std::int32_t expert : experts) {
    const std::int32_t* const keys = problem.row(expert).key;
    for (std::size_t t = 0; t < steps; ++t) {
      tiles[t] += keys[t] / radix;
      active[t] += keys[t] % radix;
      if (keys[t] > 0 && !least_time_from_.empty())
        bounds[t] = std::max(bounds[t], least_time_from_[static_cast<std::size_t>(keys[t])]);
    }
  }
  for (const Capacity& capacity : capacities_)
    for (std::size_t t = 0; t < steps; ++t) {
      const auto load = static_cast<std::size_t>(capacity.tile_weight * tiles[t] + capacity.expert_weight * active[t]);
      if (load < capacity.least_time.size()) bounds[t] = std::max(bounds[t], capacity.least_time[load]);
    }
  // Skew only adds to even loads; rows of last tiles may take off.
  const std::vector<std::int32_t>& saved = problem.most_saved();
  for (std::size_t t = 0; t < saved.size(); ++t) bounds[t] = std::max(0, bounds[t] - saved[t]);
  if (problem.has_exchange()) exchange_bounds(problem, experts, bounds);
}

void WaterFilling::exchange_bounds(const LayerProblem& problem, std::span<const std::int32_t> experts,
                                   std::vector<std::int32_t>& bounds) const {
  const auto devices = static_cast<std::int64_t>(device_count_);
  for (std::size_t t = problem.exchange_begin(); t < bounds.size(); ++t) {
    std::int64_t sum = 0;
    for (std::int32_t expert : experts) {
      const std::int32_t own = problem.row(expert).extra[t];
      sum += own;
      if (!least_time_from_.empty()) bounds[t] = std::max(bounds[t], own);
    }
    bounds[t] = std::max(bounds[t], static_cast<std::int32_t>((sum + devices - 1) / devices));
  }
}

std::vector<std::int32_t> WaterFilling::all_step_bounds(const LayerProblem& problem) const {
  std::vector<std::int32_t> all(problem.expert_count());
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::int32_t> bounds;
  step_bounds(problem, all, bounds);
  return bounds;
}

std::int64_t WaterFilling::bound(const LayerProblem& problem) const {
  const std::vector<std::int32_t> bounds = all_step_bounds(problem);
  return std::accumulate(bounds.begin(), bounds.end(), std::int64_t{0});
}

std::int64_t WaterFilling::compute_bound(const LayerProblem& problem) const {
  const std::vector<std::int32_t> bounds = all_step_bounds(problem);
  const auto compute = static_cast<std::ptrdiff_t>(problem.exchange_begin());
  return std::accumulate(bounds.begin(), bounds.begin() + compute, std::int64_t{0});
}

}  // namespace gem
