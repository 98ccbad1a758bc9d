#pragma once

#include <cstddef>
#include <vector>

#include "model/mapping.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// What a placement of all layers costs over the steps of a trace; a step's time is the sum over layers and stages of
/// the slowest device's.
struct Score {
  double mean_s = 0.0;  ///< a step
  double p99_s = 0.0;   ///< 99th percentile of steps
  double imbalance =
      1.0;  ///< of the profiled stage: slowest device over mean device, both summed over steps and layers
};

/// `problems` are of the mapping's layers and of its copies, if any; zeros of no layers.
Score score_of(const std::vector<LayerProblem>& problems, const Mapping& mapping);

/// Mean seconds a step of one stage of a layer.
double stage_seconds(const LayerProblem& problem, const Assignment& assignment, std::size_t stage);

}  // namespace gem
