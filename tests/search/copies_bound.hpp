#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "model/expert_copies.hpp"
#include "search/layer_search.hpp"
#include "search/water_filling.hpp"

namespace gem::testing {

/// The bound of any copies of 6 experts on two devices of 4 slots is above 0 and below what is found with two of them
/// copied, whichever.
inline void expect_bound_below_any_copies(const CostModel& model, const LoadTrace& trace, std::uint64_t seed) {
  const LayerCost bounding = bounding_layer_costs(model, trace, 4)[0];
  const std::int64_t bound = WaterFilling(bounding.tables(), {}, false).bound(bounding);
  EXPECT_GT(bound, 0);
  for (std::int32_t first = 0; first < 6; ++first) {
    CopyCounts copies(1, 6, 1);
    for (std::int32_t expert : {first, (first + 1) % 6}) copies(0, static_cast<std::size_t>(expert)) = 2;
    LayerProblem problem = layer_problems(model, split_over_copies(trace, copies))[0];
    problem.set_copies(experts_of_copies(copies.row(0)));
    RandomStream random{seed};
    EXPECT_LE(mean_seconds(bounding, bound),
              mean_seconds(problem, run_start(problem, random_assignment(problem, random), random, {100, {}}).cost));
  }
}

}  // namespace gem::testing
