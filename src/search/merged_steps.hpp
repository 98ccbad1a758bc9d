#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// A problem without its repeated steps: every placement costs what it costs in the whole problem, which must outlive
/// it.
struct MergedSteps {
  LayerProblem problem;               ///< each step once
  std::vector<std::int32_t> weights;  ///< [column], how often its step was there
  std::vector<std::size_t> step_of;   ///< [step of the whole problem] its step here
};

/// Mixtures are searched on beside many repetitions of the trace's own steps: summed once, they cost half the time.
/// Steps are equal where all experts have the same loads and the floors are the same. Those that count most come first,
/// so that what a change loses shows early.
MergedSteps merge_equal_steps(const LayerProblem& problem);

}  // namespace gem
