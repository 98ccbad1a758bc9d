#include "search/packing.hpp"

#include <gtest/gtest.h>

#include "base/statistics.hpp"
#include "cost/cost_model.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

TEST(Packing, SpeedsAreRelativeToTheirMean) {
  const auto made = testing::made_up_problem(12, 4, 10, 3, 2);
  const CostModel model(made.profile);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    const std::vector<double> speeds = relative_speeds(model.latencies(), made.trace, layer);
    EXPECT_NEAR(mean(speeds), 1.0, 1e-12);
    EXPECT_GT(speeds.front(), speeds.back()) << "the last device is the slowest";
  }
}

}  // namespace
}  // namespace gem
