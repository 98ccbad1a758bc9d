#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// Bounds that no assignment can be below: each step on its own, with the load poured over the devices in any
/// fractions.
///
/// If all devices end a step within time tau, then device d has a load (tiles x, active experts a) with
/// T_d(x, a) <= tau, so for any weights the whole load's  w_x X + w_a A  is at most  sum_d f_d(tau), where
/// f_d(tau) = max { w_x x + w_a a : T_d(x, a) <= tau }. The least tau for which that holds bounds the step; the largest
/// over several weights is taken, and over the single experts, each of which must be on some device. Holds for every
/// latency table, convex or not, because only the table's own entries are used.
/// Where experts can have copies, which share their tokens, no single expert bounds a step.
/// The exchange of a step takes at least what the mean device's rows take, and what any whole expert's do.
class WaterFilling {
 public:
  /// Over the devices from `first_device` on.
  explicit WaterFilling(const LatencyTables& tables, std::size_t first_device = 0, bool experts_are_whole = true);

  /// Ticks summed over the steps of a layer on the same tables, with those of the exchange.
  std::int64_t bound(const LayerProblem& problem) const;

  /// The same without the exchange.
  std::int64_t compute_bound(const LayerProblem& problem) const;

  /// The same step by step, [padded step], with some of the layer's experts only.
  void step_bounds(const LayerProblem& problem, std::span<const std::int32_t> experts,
                   std::vector<std::int32_t>& bounds) const;

 private:
  // One choice of weights, and the least time in which the devices together carry a weighted load: [load].
  struct Capacity {
    std::int64_t tile_weight;
    std::int64_t expert_weight;
    std::vector<std::int32_t> least_time;
  };
  void fill(Capacity& capacity, std::size_t first_device) const;
  std::vector<std::int32_t> all_step_bounds(const LayerProblem& problem) const;
  void exchange_bounds(const LayerProblem& problem, std::span<const std::int32_t> experts,
                       std::vector<std::int32_t>& bounds) const;

  const LatencyTables* tables_;
  std::size_t device_count_;  // that the load is poured over
  std::int32_t tile_key_;     // key of one more tile; 1 on the curve, where tokens take the place of tiles
  std::vector<Capacity> capacities_;
  std::vector<std::int32_t> least_time_from_;  // [key], of any device that carries this or more; empty: not whole
};

}  // namespace gem
