#include "search/water_filling.hpp"

#include <algorithm>
#include <numeric>

#include "base/array.hpp"
#include "search/step_kernels.hpp"

namespace gem {
namespace {

struct Weights {
  std::uint32_t units;
  std::uint32_t experts;
};

// Reading an expert's weights takes as long as part of a tile to a hundred tiles.
constexpr Weights weights_tried[] = {{1, 0}, {4, 1}, {2, 1}, {1, 1}, {1, 2}, {1, 4}, {1, 8}, {1, 16}, {1, 32}, {0, 1}};

// The minimum entry at this or any larger load: a unit more, or an expert more with its unit. Of no load it is 0.
std::vector<std::int32_t> min_time_from(const CostTables& tables, std::size_t stage, std::size_t tile,
                                        DeviceRange devices) {
  const LoadKeys& keys = *tables.keys(stage, tile);
  std::vector<std::int32_t> minimum(tables.even(stage, devices.first, tile).size(), INT32_MAX);
  for (std::size_t d = devices.first; d < devices.end; ++d)
    for (std::size_t key = 0; key < minimum.size(); ++key)
      minimum[key] = std::min(minimum[key], tables.even(stage, d, tile)[key]);
  minimum[0] = 0;
  const auto unit = static_cast<std::size_t>(keys.radix);
  for (std::size_t key = minimum.size(); key-- > 1;) {
    if (key + unit < minimum.size()) minimum[key] = std::min(minimum[key], minimum[key + unit]);
    if (keys.counts_experts() && key % unit + 1 < unit && key + unit + 1 < minimum.size())
      minimum[key] = std::min(minimum[key], minimum[key + unit + 1]);
  }
  return minimum;
}

// Planes with keys of the stage.
std::size_t planes_of_stage(const CostTables& tables, std::size_t stage) {
  return tables.tile_count(stage) > 1 ? tables.plane_units().size() : 1;
}

// Rows of a unit of the stage's keys in a plane.
std::uint32_t unit_tokens_of(const CostTables& tables, std::size_t stage, std::size_t plane) {
  return tables.tile_count(stage) > 1 ? tables.plane_units()[plane] : tables.keys(stage)->unit_tokens;
}

}  // namespace

WaterFilling::WaterFilling(const CostTables& tables, DeviceRange devices, bool experts_are_whole)
    : tables_(&tables), experts_are_whole_(experts_are_whole), fillings_(tables.stage_count()) {
  devices.end = std::min(devices.end, tables.device_count());
  device_count_ = devices.end - devices.first;
  for (std::size_t stage = 0; stage < fillings_.size(); ++stage) {
    if (tables.is_linear(stage)) continue;
    Filling& filling = fillings_[stage];
    if (experts_are_whole)
      for (std::size_t tile = 0; tile < tables.tile_count(stage); ++tile)
        filling.min_time_from.push_back(min_time_from(tables, stage, tile, devices));
    for (std::size_t plane = 0; plane < planes_of_stage(tables, stage); ++plane) {
      const std::vector<std::vector<Entry>> entries = entries_of(stage, plane, devices);
      for (const Weights& weights : weights_tried) {
        filling.capacities.push_back({plane, weights.units, weights.experts, {}});
        fill(filling.capacities.back(), entries);
        if (!tables.keys(stage)->counts_experts()) break;  // one kind of load: any weight is the same
      }
    }
  }
}

std::vector<std::vector<WaterFilling::Entry>> WaterFilling::entries_of(std::size_t stage, std::size_t plane,
                                                                       DeviceRange devices) const {
  const std::uint32_t unit_tokens = unit_tokens_of(*tables_, stage, plane);
  std::vector<std::vector<Entry>> entries(devices.end - devices.first);
  for (std::size_t d = devices.first; d < devices.end; ++d) {
    std::vector<Entry>& of_device = entries[d - devices.first];
    for (std::size_t tile = 0; tile < tables_->tile_count(stage); ++tile) {
      const LoadKeys& keys = *tables_->keys(stage, tile);
      const auto table = tables_->even(stage, d, tile);
      for (std::int32_t key = 1; key < static_cast<std::int32_t>(table.size()); ++key)
        if (keys.is_load(key))
          of_device.push_back(
              {table[static_cast<std::size_t>(key)], keys.max_units(key, unit_tokens), keys.active_experts(key)});
    }
    std::sort(of_device.begin(), of_device.end(), [](const Entry& a, const Entry& b) { return a.time < b.time; });
  }
  return entries;
}

void WaterFilling::fill(Capacity& capacity, const std::vector<std::vector<Entry>>& entries) {
  struct Gain {
    std::int32_t time;
    std::int64_t load;
  };
  std::vector<Gain> gains;  // from this time on one device can carry so much more
  for (const std::vector<Entry>& of_device : entries) {
    std::int64_t max_load = 0;
    for (const Entry& entry : of_device) {
      const std::int64_t load = capacity.unit_weight * entry.units + capacity.expert_weight * entry.active;
      if (load <= max_load) continue;
      gains.push_back({entry.time, load - max_load});
      max_load = load;
    }
  }
  std::sort(gains.begin(), gains.end(), [](const Gain& a, const Gain& b) { return a.time < b.time; });
  capacity.min_time.assign(1, 0);  // no load, no time
  std::int64_t carried = 0;
  for (const Gain& gain : gains) {
    carried += gain.load;
    capacity.min_time.resize(static_cast<std::size_t>(carried) + 1, gain.time);
  }
  capacity.min_time.push_back(0);
}

void WaterFilling::column_bounds(const LayerCost& layer, std::span<const std::int32_t> experts,
                                 std::vector<std::int32_t>& bounds) const {
  bounds.assign(layer.column_count(), 0);
  for (std::size_t stage = 0; stage < fillings_.size(); ++stage) bound_stage(layer, stage, experts, bounds);
}

void WaterFilling::bound_stage(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                               std::vector<std::int32_t>& bounds) const {
  if (!tables_->is_linear(stage))
    bound_table(layer, stage, experts, bounds);
  else
    bound_linear(layer, stage, experts, bounds);
}

void WaterFilling::bound_table(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                               std::vector<std::int32_t>& bounds) const {
  const Filling& filling = fillings_[stage];
  const std::size_t steps = layer.padded_steps(), first = layer.first_column(stage);
  const std::size_t planes = planes_of_stage(*tables_, stage);
  const std::int32_t radix = tables_->keys(stage)->radix;
  Matrix<std::int32_t> units(planes, steps);
  std::vector<std::int32_t> active(steps, 0);
  std::int32_t* const bound = bounds.data() + first;
  for (std::int32_t expert : experts) {
    const std::int32_t* const keys = layer.row(expert).key + first;
    add_units_and_active(units.row(0).data(), active.data(), keys, radix, steps);
    for (std::size_t plane = 1; plane < planes; ++plane)
      add_units(units.row(plane).data(), keys + plane * layer.column_count(), radix, steps);
    if (!experts_are_whole_) continue;
    if (filling.min_time_from.size() == 1) {
      raise_to_entries(bound, keys, filling.min_time_from[0].data(), steps);
      continue;
    }
    for (std::size_t t = 0; t < steps; ++t)
      if (keys[t] > 0) bound[t] = std::max(bound[t], min_time_with(filling, stage, keys + t, layer.column_count()));
  }
  for (const Capacity& capacity : filling.capacities)
    raise_to_weighted(bound, units.row(capacity.plane).data(), active.data(), capacity.unit_weight,
                      capacity.expert_weight, capacity.min_time.data(), capacity.min_time.size() - 1, steps);
  // What experts add beside can only be more than that of even loads, but for what it may take off.
  if (layer.max_saved().empty()) return;
  for (std::size_t t = 0; t < steps; ++t) bound[t] = std::max(0, bound[t] - layer.max_saved()[first + t]);
}

std::int32_t WaterFilling::min_time_with(const Filling& filling, std::size_t stage, const std::int32_t* keys,
                                         std::size_t plane_length) const {
  const std::int32_t rows = keys[tables_->plane_units().size() * plane_length];
  std::int32_t min_time = INT32_MAX;
  for (std::size_t tile = 0; tile < filling.min_time_from.size(); ++tile)
    if (rows <= tables_->keys(stage, tile)->rows_to)
      min_time =
          std::min(min_time,
                   filling.min_time_from[tile][static_cast<std::size_t>(keys[tables_->plane_of(tile) * plane_length])]);
  return min_time;
}

void WaterFilling::bound_linear(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                                std::vector<std::int32_t>& bounds) const {
  // Nodes are poured over where the maximum is over them.
  const std::vector<std::int32_t>& node_of = tables_->node_of();
  const auto devices = stage < tables_->first_node_stage() ? static_cast<std::int64_t>(device_count_)
                                                           : std::int64_t{std::ranges::max(node_of)} + 1;
  for (std::size_t column = layer.first_column(stage); column < layer.first_column(stage + 1); ++column) {
    std::int64_t sum = 0;
    for (std::int32_t expert : experts) {
      const std::int32_t own = layer.row(expert).added[column];
      sum += own;
      if (experts_are_whole_) bounds[column] = std::max(bounds[column], own);
    }
    bounds[column] = std::max(bounds[column], static_cast<std::int32_t>((sum + devices - 1) / devices));
  }
}

std::int64_t WaterFilling::bound(const LayerCost& layer) const {
  std::int64_t sum = 0;
  for (std::size_t stage = 0; stage < layer.stage_count(); ++stage) sum += stage_bound(layer, stage);
  return sum;
}

std::int64_t WaterFilling::stage_bound(const LayerCost& layer, std::size_t stage) const {
  std::vector<std::int32_t> all(layer.expert_count());
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::int32_t> bounds(layer.column_count(), 0);
  bound_stage(layer, stage, all, bounds);
  return std::accumulate(bounds.begin(), bounds.end(), std::int64_t{0});
}

}  // namespace gem
