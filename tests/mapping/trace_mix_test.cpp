#include "mapping/trace_mix.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "mapping/sample.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

LoadTrace trace_of(const std::string& task, std::size_t steps, std::uint32_t tokens) {
  LoadTrace trace = testing::made_up_trace(steps, 2, 8, 3);
  trace.task = task;
  for (std::uint32_t& count : trace.counts.values()) count = tokens;
  return trace;
}

std::size_t steps_with(const LoadTrace& trace, std::uint32_t tokens) {
  std::size_t found = 0;
  for (std::size_t step = 0; step < trace.step_count(); ++step) found += trace.counts(step, 1, 7) == tokens ? 1 : 0;
  return found;
}

TEST(TraceMix, StepsComeByWeight) {
  const LoadTrace one = trace_of("one", 30, 1), two = trace_of("two", 10, 2);
  const LoadTrace even = mix_of({one, two}, {}), weighted = mix_of({one, two}, {3, 1});
  EXPECT_EQ(even.step_count(), 40u);
  EXPECT_EQ(steps_with(even, 1), 20u);
  EXPECT_EQ(steps_with(even, 2), 20u);
  EXPECT_EQ(steps_with(weighted, 1), 30u);
  EXPECT_EQ(steps_with(weighted, 2), 10u);
  EXPECT_EQ(even.task, "one+two");
  EXPECT_EQ(mix_of({one}, {}), one);
  LoadTrace other = two;
  other.layer_ids[0] = 7;
  EXPECT_THROW(mix_of({one, other}, {}), UsageError);
}

// A task of the mix was searched on: it isn't "another task, never searched on".
TEST(TraceMix, ATaskOfTheMixIsNoOther) {
  const LoadTrace one = trace_of("one", 30, 1), two = trace_of("two", 10, 2), three = trace_of("three", 10, 2);
  const LoadTrace mix = mix_of({one, two}, {});
  EXPECT_EQ(sample_of(mix, two), Sample::InSample);
  EXPECT_EQ(sample_of(mix, three), Sample::OtherTask);
  EXPECT_EQ(sample_of(one, mix), Sample::InSample);
}

TEST(TraceMix, SaysWhatEachTraceLoses) {
  const Communicator world = Communicator::world();
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8);
  std::vector<LoadTrace> traces{testing::made_up_trace(30, 2, 16, 3), testing::made_up_trace(20, 2, 16, 4)};
  traces[0].task = "one";
  traces[1].task = "two";
  question.train = mix_of(traces, {});
  const MappingAnswer answer = find_mapping(world, question);
  const std::string losses = describe_losses(world, question, answer.mapping(), traces, {}).text;
  EXPECT_EQ(losses.empty(), !world.is_root());
  if (!world.is_root()) return;
  EXPECT_NE(losses.find("one (all, 30 steps)"), std::string::npos) << losses;
  EXPECT_NE(losses.find("two (all, 20 steps)"), std::string::npos) << losses;
}

}  // namespace
}  // namespace gem
