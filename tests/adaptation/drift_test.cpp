#include "adaptation/drift.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

// Traces of one token count each, so that a step tells where it came from.
LoadTrace trace_of(std::uint32_t tokens, std::size_t steps) {
  LoadTrace trace = testing::made_up_trace(steps, 2, 4, 1);
  for (std::uint32_t& count : trace.counts.values()) count = tokens;
  return trace;
}

std::vector<std::uint32_t> first_counts(const Drift& drift) {
  std::vector<std::uint32_t> counts;
  for (std::size_t step = 0; step < drift.trace.step_count(); ++step) counts.push_back(drift.trace.counts(step, 0, 0));
  return counts;
}

TEST(Drift, TasksFollowEachOtherAlternateOrMix) {
  const std::vector<LoadTrace> traces{trace_of(10, 3), trace_of(20, 2)};
  const Drift in_turn = make_drift(traces, TaskOrder::InTurn, 1, 6, {}, 2);
  EXPECT_EQ(first_counts(in_turn), (std::vector<std::uint32_t>{10, 10, 10, 20, 20, 20}));
  EXPECT_EQ(in_turn.changes, (std::vector<std::size_t>{3}));
  const Drift alternating = make_drift(traces, TaskOrder::Alternating, 2, 6, {}, 2);
  EXPECT_EQ(first_counts(alternating), (std::vector<std::uint32_t>{10, 10, 20, 20, 10, 10}));
  EXPECT_EQ(alternating.changes, (std::vector<std::size_t>{2, 4}));
  const Drift mixed = make_drift(traces, TaskOrder::Mixed, 1, 5, {}, 2);
  EXPECT_EQ(first_counts(mixed), (std::vector<std::uint32_t>{10, 13, 15, 18, 20}));
}

TEST(Drift, SlowdownsHoldFromTheirStepOn) {
  const auto changes = parse_slowdown_changes("# two devices\nstep,device,slowdown\n4,1,1.0\n2,1,1.28\n", "file", 2);
  const Drift drift = make_drift({trace_of(1, 3)}, TaskOrder::InTurn, 1, 6, changes, 2);
  EXPECT_EQ(drift.changes, (std::vector<std::size_t>{2, 4}));
  for (std::size_t step = 0; step < 6; ++step) {
    EXPECT_EQ(drift.slowdown(step, 0), 1.0);
    EXPECT_EQ(drift.slowdown(step, 1), step == 2 || step == 3 ? 1.28 : 1.0);
  }
}

TEST(Drift, WhatIsNoSlowdownIsRefusedWithItsLine) {
  const std::string header = "step,device,slowdown\n";
  for (const auto& text : {std::string(""), std::string("step,slowdown\n"), header + "1,0\n", header + "-1,0,1\n",
                           header + "1,2,1\n", header + "1,0,0\n", header + "1,0,nan\n", header + "1,x,1\n"})
    EXPECT_THROW(parse_slowdown_changes(text, "file", 2), DataError) << text;
  try {
    parse_slowdown_changes(header + "1,5,1.2\n", "drift.csv", 2);
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("drift.csv, line 2"), std::string::npos) << error.what();
  }
}

TEST(Drift, TracesOfOtherModelsAreRefused) {
  LoadTrace other = testing::made_up_trace(3, 2, 8, 1);
  EXPECT_THROW(make_drift({trace_of(1, 3), other}, TaskOrder::InTurn, 1, 6, {}, 2), UsageError);
}

}  // namespace
}  // namespace gem
