#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// Which steps count, and how long their mean is lowered.
struct TailOptions {
  /// Of the steps: the slowest ones, whose mean is to be least. The slowest 1 % of a few hundred steps are too few to
  /// search on: the slowest fifth gave the least 99th percentile on requests never seen
  /// (tests/benchmark/search_choices.md).
  double share = 0.2;
  std::size_t rounds = 4;               ///< over all layers
  std::size_t iterations = 20;          ///< disturbances of a layer in a round
  std::function<bool()> stop_now = {};  ///< asked now and then; empty: never
};

/// Mean of the slowest `share` of the values (at least one): the conditional value at risk.
double mean_of_slowest(std::span<const double> values, double share);

/// Ticks of whole steps, summed over layers, [step].
std::vector<std::int64_t> step_totals(const std::vector<LayerProblem>& problems,
                                      const std::vector<Assignment>& assignments);

/// Lowers the mean of the slowest steps, where a step's time is the sum over layers. By Rockafellar and Uryasev (2000)
/// that is
///   min over eta of  eta + sum_t max(0, time_t - eta) / (share * steps);
/// with eta and the other layers held, a layer's part is  sum_t max(eta - rest_t, slowest device of t)  and a constant:
/// the usual cost with a floor under each step. Layers take turns, eta follows. Never ends worse than it began. A floor
/// is under the slowest device of one stage: layers of several stages are not searched like this.
std::vector<Assignment> improve_tail(std::vector<LayerProblem> problems, std::vector<Assignment> assignments,
                                     RandomStream random, const TailOptions& options);

}  // namespace gem
