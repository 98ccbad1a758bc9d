#include "adaptation/recent_loads.hpp"

#include <gtest/gtest.h>

#include "adaptation/drift.hpp"
#include "adaptation/regimes.hpp"
#include "synthetic_task.hpp"

namespace gem {
namespace {

LoadTrace task(std::uint64_t seed) {
  return test::synthetic_task(seed, 1000);
}

TEST(RecentLoads, AllStepsTellWhereLoadsStayAndFewWhereTheyDrift) {
  const std::size_t steps = 1000, window = 64, most = 512;
  const LoadTrace still = task(1), drifts = make_drift({task(1), task(2)}, TaskOrder::Mixed, 1, steps, {}, 4).trace;
  std::size_t of_still = 0, of_drifting = 0, looks = 0;
  for (std::size_t end = 600; end <= steps; end += 20, ++looks) {
    of_still += telling_steps(still, end, window, most) == most ? 1 : 0;
    const std::size_t telling = telling_steps(drifts, end, window, most);
    EXPECT_GE(telling, window);
    of_drifting += telling == most ? 1 : 0;
  }
  EXPECT_GE(of_still * 2, looks) << "by chance a few look as if they drifted";
  EXPECT_EQ(of_drifting, 0u);
  EXPECT_EQ(telling_steps(still, 600, window, 100), 100u) << "too few to compare";
}

TEST(RecentLoads, StepsAreCarriedAlongTheTrendToAWindowAhead) {
  const std::size_t steps = 1000, end = 800, count = 512, window = 64;
  const LoadTrace drifts = make_drift({task(1), task(2)}, TaskOrder::Mixed, 1, steps, {}, 4).trace;
  const LoadTrace carried = carried_over(drifts, end, count, window);
  ASSERT_EQ(carried.step_count(), count);
  // All that comes within two windows is what is known a window ahead. The last window is half a window old.
  const Matrix<double> ahead = load_shares(steps_of(drifts, end, 2 * window));
  const double of_last = share_distance(load_shares(steps_of(drifts, end - window, window)), ahead);
  EXPECT_LT(share_distance(load_shares(carried), ahead), of_last / 2.0) << "known by more steps, and no later";
  const double of_first = share_distance(load_shares(steps_of(drifts, end - count, window)), ahead);
  EXPECT_LT(share_distance(load_shares(steps_of(carried, 0, window)), ahead), of_first / 4.0);
  EXPECT_EQ(carried_over(drifts, end, 90, window).counts.values(), steps_of(drifts, end - 90, 90).counts.values())
      << "too few for a trend";
}

}  // namespace
}  // namespace gem
