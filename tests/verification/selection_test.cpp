#include "verification/selection.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "mapping/sample.hpp"

namespace gem {
namespace {

LoadTrace trace_of(const std::string& part) {
  LoadTrace trace;
  trace.task = "mmlu";
  trace.part = part;
  trace.layer_ids = {4, 7, 9};
  trace.counts = Cube<std::uint32_t>(10, 3, 4);
  for (std::size_t i = 0; i < trace.counts.values().size(); ++i)
    trace.counts.values()[i] = static_cast<std::uint32_t>(i);
  return trace;
}

Mapping searched_on(const std::string& part, std::size_t steps) {
  Mapping mapping;
  mapping.train_task = "mmlu";
  mapping.train_part = part;
  mapping.train_steps = steps;
  return mapping;
}

TEST(Selection, StepsSearchedOnArePassedOver) {
  EXPECT_EQ(first_unseen_step({searched_on("all", 6), searched_on("train", 8)}, trace_of("all")), 8u);
  EXPECT_EQ(first_unseen_step({searched_on("train", 8)}, trace_of("test")), 0u);
  EXPECT_THROW(first_unseen_step({searched_on("all", 10)}, trace_of("all")), UsageError);
}

TEST(Selection, AMappingWithoutATaskMayHaveBeenSearchedOnTheseSteps) {
  Mapping unnamed = searched_on("all", 6);
  unnamed.train_task.clear();
  EXPECT_EQ(first_unseen_step({unnamed}, trace_of("all")), 6u);
  EXPECT_EQ(sample_note(sample_of(unnamed, trace_of("all"), 6)), "unknown whether searched on");
  unnamed.train_steps = 10;
  EXPECT_EQ(first_unseen_step({unnamed}, trace_of("all")), 0u) << "all steps, since none is known to be left";
  LoadTrace nameless = trace_of("all");
  nameless.task.clear();
  EXPECT_EQ(sample_note(sample_of(unnamed, nameless, 0)), "unknown whether searched on");
}

TEST(Selection, LayersAreChosenByTheModelsNumbers) {
  const LoadTrace trace = trace_of("all");
  const LoadTrace chosen = layers_of(trace, {9, 4});
  EXPECT_EQ(chosen.layer_ids, (std::vector<std::int32_t>{9, 4}));
  EXPECT_EQ(chosen.counts(5, 0, 2), trace.counts(5, 2, 2));
  EXPECT_EQ(chosen.counts(5, 1, 2), trace.counts(5, 0, 2));
  EXPECT_THROW(layers_of(trace, {5}), UsageError);
  EXPECT_THROW(layers_of(trace, {4, 9, 4}), UsageError);
}

TEST(Selection, AFewLayersAreSpreadFromTheFirstToTheLast) {
  std::vector<std::int32_t> ids;
  for (std::int32_t id = 1; id <= 26; ++id) ids.push_back(id);
  EXPECT_EQ(spread_layers(ids, 3), (std::vector<std::int32_t>{1, 13, 26}));
  EXPECT_EQ(spread_layers(ids, 1), std::vector<std::int32_t>{1});
  EXPECT_EQ(spread_layers(ids, 100), ids);
}

TEST(Selection, MappingsOfOneMethodAreCalledAsTheirFilesOrByNumber) {
  using Words = std::vector<std::string>;
  EXPECT_EQ(distinct_names({"linear", "eplb", "gem"}, {"", "a/x.h5", "a/y.h5"}), (Words{"linear", "eplb", "gem"}));
  EXPECT_EQ(distinct_names({"linear", "gem", "eplb", "gem"}, {"", "a/fast.h5", "e.h5", "slow.h5"}),
            (Words{"linear", "fast", "eplb", "slow"}));
  EXPECT_EQ(distinct_names({"linear", "gem", "gem"}, {"", "a/gem.h5", "b/gem.h5"}), (Words{"linear", "gem", "gem#2"}));
  EXPECT_EQ(distinct_names({"eplb", "gem", "gem"}, {"", "eplb.h5", "b.h5"}), (Words{"eplb", "gem", "gem#2"}));
  EXPECT_EQ(distinct_names({"gem", "gem", "gem"}, {}), (Words{"gem", "gem#2", "gem#3"}));
}

}  // namespace
}  // namespace gem
