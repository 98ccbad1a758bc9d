#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cost/layer_cost.hpp"

namespace gem {

/// Devices from `first` on, to the one before `end` or to the last one.
struct DeviceRange {
  std::size_t first = 0;
  std::size_t end = SIZE_MAX;
};

/// Bounds that no assignment can be below: each column on its own, with the load poured over the devices in any
/// fractions.
///
/// If all devices end a column within time tau, then device d has a load (units x, active experts a) with
/// T_d(x, a) <= tau, so for any weights the whole load's  w_x X + w_a A  is at most  sum_d f_d(tau), where
/// f_d(tau) = max { w_x x + w_a a : T_d(x, a) <= tau }. The minimum tau for which that holds bounds the column; the
/// maximum over several weights is taken, and over the single experts, each of which must be on some device. Holds for
/// every table, convex or not, because only the table's own entries are used. A kernel with several tiles has several
/// tables: all loads are then told in one tile's units, of loads in other tiles the maximum that they can be, and the
/// maximum over these tiles is taken, too. In a linear stage the slowest device
/// takes at least what the mean device takes, and what any whole expert takes. Where experts can have copies, which
/// share their tokens, no single expert bounds a column.
class WaterFilling {
 public:
  /// Over some of the devices.
  explicit WaterFilling(const CostTables& tables, DeviceRange devices = {}, bool experts_are_whole = true);

  /// Ticks summed over the columns of a layer on the same tables.
  std::int64_t bound(const LayerCost& layer) const;

  /// The same of one stage.
  std::int64_t stage_bound(const LayerCost& layer, std::size_t stage) const;

  /// Column by column, [column], with some of the layer's experts only.
  void column_bounds(const LayerCost& layer, std::span<const std::int32_t> experts,
                     std::vector<std::int32_t>& bounds) const;

 private:
  // One choice of weights, and the minimum time in which the devices together carry a weighted load: [load].
  struct Capacity {
    std::size_t plane;  // whose units they are
    std::uint32_t unit_weight;
    std::uint32_t expert_weight;
    std::vector<std::int32_t> min_time;  // the last entry, of loads that are too large to tell, is 0
  };
  // What a device can carry in a time.
  struct Entry {
    std::int32_t time;
    std::int64_t units, active;
  };
  // A stage with a table.
  struct Filling {
    std::vector<Capacity> capacities;
    // [tile][key], of any device that carries this or more; empty: not whole
    std::vector<std::vector<std::int32_t>> min_time_from;
  };
  // Of each device, [device], by time.
  std::vector<std::vector<Entry>> entries_of(std::size_t stage, std::size_t plane, DeviceRange devices) const;
  static void fill(Capacity& capacity, const std::vector<std::vector<Entry>>& entries);
  void bound_stage(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                   std::vector<std::int32_t>& bounds) const;
  void bound_table(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                   std::vector<std::int32_t>& bounds) const;
  void bound_linear(const LayerCost& layer, std::size_t stage, std::span<const std::int32_t> experts,
                    std::vector<std::int32_t>& bounds) const;

  // The minimum time of a device that has this expert in a column, of several tiles.
  std::int32_t min_time_with(const Filling& filling, std::size_t stage, const std::int32_t* keys,
                             std::size_t plane_length) const;

  const CostTables* tables_;
  std::size_t device_count_;  // that the load is poured over
  bool experts_are_whole_;
  std::vector<Filling> fillings_;  // [stage]; empty for a linear one
};

}  // namespace gem
