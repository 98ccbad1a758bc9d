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

TEST(LoadTrace, CountsThatContradictTopKAreWarnedOf) {
  LoadTrace trace;
  trace.top_k = 2;
  trace.tokens_per_step = 4;
  trace.counts = Cube<std::uint32_t>(2, 1, 4);
  trace.counts.values() = {4, 2, 1, 1, 0, 3, 3, 2};
  EXPECT_EQ(contradictions_of(trace), "");
  EXPECT_EQ(contradiction_warning(trace), "");
  trace.counts(1, 0, 0) = 1;
  EXPECT_TRUE(contradictions_of(trace).starts_with("1 of 2 layers of steps contradict 2 experts a token"));
  EXPECT_TRUE(contradiction_warning(trace).starts_with("Warning: of the trace, 1 of 2"));
  trace.counts.values() = {5, 1, 1, 1, 0, 3, 3, 2};
  EXPECT_NE(contradiction_warning(trace), "") << "an expert has more tokens than there are";
  trace.counts.values() = {4, 2, 1, 1, 0, 3, 3, 2};
  trace.tokens_per_step = 40;
  EXPECT_EQ(contradiction_warning(trace), "Warning: the trace says 40 tokens a step, but its counts are of 4\n");
  trace.top_k = 3;
  EXPECT_TRUE(contradiction_warning(trace).starts_with("Warning: of the trace, 2 of 2"));
  EXPECT_EQ(contradiction_warning(steps_of(trace, 0, 1)), "") << "it may be an aggregate";
  trace.top_k = 0;
  EXPECT_EQ(contradiction_warning(trace), "");
}

}  // namespace
}  // namespace gem
