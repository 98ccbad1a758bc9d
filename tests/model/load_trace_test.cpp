#include "model/load_trace.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace gem {
namespace {

LoadTrace counted_trace() {
  LoadTrace trace;
  trace.task = "counted";
  trace.layer_ids = {0, 1};
  trace.counts = Cube<std::uint32_t>(5, 2, 3);
  std::iota(trace.counts.values().begin(), trace.counts.values().end(), 0u);
  trace.request_groups = {0, 0, 1, 1, 2};
  return trace;
}

TEST(LoadTrace, StepsAreThoseAskedFor) {
  const LoadTrace steps = steps_of(counted_trace(), 3, 2);
  EXPECT_EQ(steps.step_count(), 2u);
  EXPECT_EQ(steps.counts(0, 0, 0), 18u);
  EXPECT_EQ(steps.counts(1, 1, 2), 29u);
  EXPECT_EQ(steps.request_groups, (std::vector<std::int32_t>{1, 2}));
}

TEST(LoadTrace, HasNoStepsBeyondItsEnd) {
  EXPECT_THROW(steps_of(counted_trace(), 0, 6), UsageError);
  EXPECT_THROW(steps_of(counted_trace(), 3, 3), UsageError);
  EXPECT_THROW(steps_of(counted_trace(), 5, 1), UsageError);
  EXPECT_EQ(steps_of(counted_trace(), 5, 0).step_count(), 0u);
}

}  // namespace
}  // namespace gem
