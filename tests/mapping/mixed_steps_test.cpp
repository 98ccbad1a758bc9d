#include "mapping/mixed_steps.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "search/random_problem.hpp"

namespace gem {
namespace {

TEST(MixedSteps, TheTracesOwnStepsComeFirstAndStay) {
  const LoadTrace trace = testing::made_up_trace(10, 2, 8, 1);
  const LoadTrace mixed = with_mixed_steps(trace, 25, 1);
  ASSERT_EQ(mixed.step_count(), 25u);
  EXPECT_EQ(steps_of(mixed, 0, 10).counts, trace.counts);
  EXPECT_NE(steps_of(mixed, 10, 10).counts, trace.counts);
  const LoadTrace longer = with_mixed_steps(trace, 50, 1);
  EXPECT_EQ(steps_of(longer, 0, 10).counts, trace.counts);
  EXPECT_EQ(steps_of(longer, 10, 10).counts, trace.counts) << "half of the steps are the trace's own";
  for (std::size_t t = 20; t < 50; ++t)
    for (std::size_t own = 0; own < 10; ++own) EXPECT_NE(steps_of(longer, t, 1).counts, steps_of(trace, own, 1).counts);
  EXPECT_EQ(with_mixed_steps(trace, 10, 1).counts, trace.counts);
  EXPECT_EQ(with_mixed_steps(trace, 0, 1).counts, trace.counts);
  EXPECT_EQ(with_mixed_steps(trace, 25, 1).counts, mixed.counts);
  EXPECT_NE(with_mixed_steps(trace, 25, 2).counts, mixed.counts);
  EXPECT_EQ(with_mixed_steps(steps_of(trace, 0, 1), 25, 1).step_count(), 1u) << "one step has no other to mix with";
}

TEST(MixedSteps, ATimeLimitHasRoomForSoMany) {
  EXPECT_EQ(mixed_steps_in_time(1000, 10, 0.01, 60.0), 1000u);
  EXPECT_EQ(mixed_steps_in_time(65536, 64, 0.02, 5.0), 1600u) << "half a second";
  EXPECT_EQ(mixed_steps_in_time(65536, 64, 10.0, 5.0), 64u);
  EXPECT_EQ(mixed_steps_in_time(65536, 64, 0.02, -1.0), 64u) << "the limit is over";
}

TEST(MixedSteps, AMixtureTakesEachTokenWithEvenChance) {
  // Two steps, each with an expert of its own: a mixture has a binomial number of each one's tokens.
  LoadTrace trace;
  trace.layer_ids = {0};
  trace.counts = Cube<std::uint32_t>(2, 1, 2);
  trace.counts(0, 0, 0) = 1000;
  trace.counts(1, 0, 1) = 77;
  const LoadTrace mixed = with_mixed_steps(trace, 4000, 3);
  double sum[2] = {}, squares[2] = {};
  for (std::size_t t = 2000; t < 4000; ++t)
    for (std::size_t e = 0; e < 2; ++e) {
      const double count = mixed.counts(t, 0, e);
      sum[e] += count;
      squares[e] += count * count;
    }
  const double tokens[2] = {1000.0, 77.0};
  for (std::size_t e = 0; e < 2; ++e) {
    const double mean = sum[e] / 2000.0, variance = squares[e] / 2000.0 - mean * mean;
    EXPECT_NEAR(mean, tokens[e] / 2.0, 5.0 * std::sqrt(tokens[e] / 4.0 / 2000.0));
    EXPECT_NEAR(variance, tokens[e] / 4.0, 0.2 * tokens[e] / 4.0);
  }
}

}  // namespace
}  // namespace gem
