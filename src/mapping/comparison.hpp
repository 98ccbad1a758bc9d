#pragma once

#include <string>
#include <vector>

#include "model/load_trace.hpp"
#include "search/score.hpp"

namespace gem {

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
