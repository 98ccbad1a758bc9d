#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/random.hpp"
#include "search/descent.hpp"

namespace gem {

/// How a start is searched, and when it is done. Iterations make it repeatable; a stop asked from outside (a time
/// limit) does not.
struct StartRule {
  std::size_t iterations = 100;         ///< perturbations after the first local optimum
  std::function<bool()> stop_now = {};  ///< asked now and then; empty: never
  /// Part of the cost, 0 or more: moves that bring no more are left to the last descent.
  double least_gain = 0.0;
  bool last_descent = true;  ///< false: what is left is left
};

/// Experts of a layer, copies not counted, from which on it is large: its search takes long, and saves time where
/// little is lost.
constexpr std::size_t large_layer = 256;

/// Whether the problem's layer is.
inline bool is_large(const LayerProblem& problem) {
  const std::size_t experts =
      problem.has_copies() ? static_cast<std::size_t>(problem.expert_of_copy().back()) + 1 : problem.expert_count();
  return experts >= large_layer;
}

/// The least gain that starts of a problem ask for: in large layers most moves bring next to nothing, and are made
/// again after the next disturbance (tests/benchmark/search_choices.md).
inline double least_gain_of(const LayerProblem& problem) {
  return is_large(problem) ? 3e-5 : 0.0;
}

/// A start's best cost from a moment on.
struct CostAt {
  double elapsed_s;   ///< since the start began
  std::int64_t cost;  ///< ticks summed over columns
};

/// Where a start ended.
struct StartResult {
  Assignment assignment;
  std::int64_t cost = 0;
  std::size_t iterations = 0;
  SearchWork work;
  std::vector<CostAt> history;  ///< each time that the best cost fell
};

/// Iterated local search from one assignment: descend, then again and again disturb the placement where the straggler
/// is, repair it, and go on from the result unless it is clearly worse. Ends at a local optimum of all moves. The
/// answer (but for the times in its history) depends on the arguments alone.
StartResult run_start(const LayerProblem& problem, const Assignment& initial, RandomStream random,
                      const StartRule& rule);

/// Experts in random order over the devices; with blocks, groups in random order over the blocks, too.
Assignment random_assignment(const LayerProblem& problem, RandomStream& random);

/// Cost of an assignment, ticks summed over columns.
std::int64_t cost_of(const LayerProblem& problem, const Assignment& assignment);

}  // namespace gem
