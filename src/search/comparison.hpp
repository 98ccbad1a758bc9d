#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "model/load_trace.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// What a mapping costs over the steps of a trace; a step's time is the sum over layers of the slowest device's, and of
/// the exchange where it counts.
struct Score {
  double mean_s = 0.0;     ///< a step
  double p99_s = 0.0;      ///< 99th percentile of steps
  double imbalance = 1.0;  ///< slowest device's compute over the mean device's, both summed over steps and layers
};

/// `expert_to_device` is [layer, expert].
Score score_of(const std::vector<LayerProblem>& problems, const Matrix<std::int32_t>& expert_to_device);

/// How the steps that are scored relate to those that were searched on.
enum class HeldOut {
  DisjointRequests,  ///< requests never searched on
  LaterSteps,        ///< steps not searched on, of requests that may have been
  OtherTask,
  InSample  ///< requests that were searched on: no test of anything
};
/// Of two traces, from their tasks and parts.
HeldOut relation_of(const LoadTrace& searched, const LoadTrace& scored);
/// "held-out, requests never searched on", say.
std::string describe_relation(HeldOut relation);

/// One line of the table that compares methods.
struct ComparedMethod {
  std::string name;
  Score train;
  Score test;
};

/// What no mapping can be below.
struct Bounds {
  double train_s = 0.0;  ///< mean a step that no mapping is below
  double test_s = 0.0;
};

/// Methods against the first of them, with the bounds. Without `has_test` only the steps searched on are shown; the
/// 99th percentile and the imbalance are those of the scored steps where there are any.
std::string comparison_table(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             HeldOut relation);

}  // namespace gem
