#include "mapping/sample.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

LoadTrace trace_of(const std::string& part) {
  LoadTrace trace;
  trace.task = "mmlu";
  trace.part = part;
  trace.counts = Cube<std::uint32_t>(10, 1, 4);
  return trace;
}

Mapping searched_on(const std::string& part, std::size_t steps) {
  Mapping mapping;
  mapping.train_task = "MMLU";  // tasks are named in either case
  mapping.train_part = part;
  mapping.train_steps = steps;
  return mapping;
}

TEST(Sample, OnlyWhatWasNeverSearchedOnIsHeldOut) {
  EXPECT_EQ(sample_of(searched_on("train", 8), trace_of("test"), 0), Sample::HeldOutRequests);
  EXPECT_EQ(sample_of(searched_on("test", 8), trace_of("train"), 0), Sample::HeldOutRequests);
  EXPECT_EQ(sample_of(searched_on("train", 8), trace_of("train"), 0), Sample::InSample);
  EXPECT_EQ(sample_of(searched_on("train", 8), trace_of("all"), 0), Sample::InSample);
  EXPECT_EQ(sample_of(searched_on("all", 8), trace_of("test"), 0), Sample::InSample);
  EXPECT_EQ(sample_of(searched_on("all", 8), trace_of("all"), 7), Sample::InSample);
  EXPECT_EQ(sample_of(searched_on("all", 8), trace_of("all"), 8), Sample::LaterSteps);
  EXPECT_EQ(sample_of(searched_on("all", 0), trace_of("all"), 0), Sample::NotSearched);
  Mapping other = searched_on("all", 8);
  other.train_task = "gpqa";
  EXPECT_EQ(sample_of(other, trace_of("all"), 0), Sample::OtherTask);
  other.train_task.clear();
  EXPECT_EQ(sample_of(other, trace_of("all"), 8), Sample::Unknown);
  EXPECT_TRUE(is_held_out(Sample::HeldOutRequests) && is_held_out(Sample::LaterSteps) &&
              is_held_out(Sample::OtherTask));
  EXPECT_FALSE(is_held_out(Sample::InSample) || is_held_out(Sample::Unknown) || is_held_out(Sample::NotSearched));
}

TEST(Sample, ATraceStandsForTheMappingThatIsSearchedOnIt) {
  EXPECT_EQ(sample_of(trace_of("train"), trace_of("test")), Sample::HeldOutRequests);
  EXPECT_EQ(sample_of(trace_of("all"), trace_of("all")), Sample::InSample);
}

TEST(Sample, TheNotesAreThoseOfReports) {
  EXPECT_EQ(sample_note(Sample::HeldOutRequests), "held-out requests");
  EXPECT_EQ(sample_note(Sample::LaterSteps), "later steps of the same requests");
  EXPECT_EQ(sample_note(Sample::OtherTask), "another task");
  EXPECT_EQ(sample_note(Sample::InSample), "in-sample");
  EXPECT_EQ(describe_sample(Sample::HeldOutRequests), "held-out requests, never searched on");
}

}  // namespace
}  // namespace gem
