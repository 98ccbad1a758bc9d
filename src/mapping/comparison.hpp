#pragma once

#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/sample.hpp"
#include "search/score.hpp"

namespace gem {

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
                             Sample sample);

/// The same figures.
JsonRecord comparison_record(const std::vector<ComparedMethod>& methods, const Bounds& bounds, bool has_test,
                             Sample sample);

}  // namespace gem
