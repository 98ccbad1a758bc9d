#pragma once

#include <cstdint>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// Bounds that no assignment can be below: each step on its own, with the load poured over the devices in any fractions.
///
/// If all devices end a step within time tau, then device d has a load (tiles x, active experts a) with
/// T_d(x, a) <= tau, so for any weights the whole load's  w_x X + w_a A  is at most  sum_d f_d(tau), where
/// f_d(tau) = max { w_x x + w_a a : T_d(x, a) <= tau }. The least tau for which that holds bounds the step; the largest over
/// several weights is taken, and over the single experts, each of which must be on some device.
/// Holds for every latency table, convex or not, because only the table's own entries are used.
class WaterFilling {
 public:
  explicit WaterFilling(const LatencyTables& tables);

  /// Ticks summed over the layer's steps; the problem must be on the same tables.
  std::int64_t bound(const LayerProblem& problem) const;

 private:
  // Most that all devices together carry within a time, both ascending.
  struct Capacity {
    std::int64_t tile_weight;
    std::int64_t expert_weight;
    std::vector<std::int32_t> time;
    std::vector<std::int64_t> load;
  };
  std::int64_t weighted(const Capacity& weights, std::int64_t key) const;
  void fill(Capacity& capacity) const;

  const LatencyTables* tables_;
  std::vector<Capacity> capacities_;
  std::vector<std::int32_t> least_time_;  // [key], of any device that carries this or more
};

}  // namespace gem
