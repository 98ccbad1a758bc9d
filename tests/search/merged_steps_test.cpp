#include "search/merged_steps.hpp"

#include <gtest/gtest.h>

#include "search/layer_search.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

// Seven steps, of which the first five are there three times.
LayerProblem repeated_problem(const LoadCosts& rule) {
  testing::MadeUp made = testing::made_up_problem(12, 4, 7, 3, 1, LoadFeatures::TilesAndExperts, rule);
  LoadTrace repeated = made.trace;
  repeated.counts = Cube<std::uint32_t>(17, 1, 12);
  for (std::size_t t = 0; t < 17; ++t)
    for (std::size_t e = 0; e < 12; ++e) repeated.counts(t, 0, e) = made.trace.counts(t < 15 ? t % 5 : t - 10, 0, e);
  return layer_problems(CostModel(made.profile), repeated)[0];
}

TEST(MergedSteps, CostWhatTheWholeCosts) {
  RandomStream random{1};
  for (const LoadCosts& rule : testing::load_rules()) {
    const LayerProblem whole = repeated_problem(rule);
    const MergedSteps merged = merge_equal_steps(whole);
    ASSERT_EQ(merged.problem.step_count(), 7u);
    EXPECT_EQ(merged.weights[4], 3);
    EXPECT_EQ(merged.weights[5], 1);
    for (int i = 0; i < 20; ++i) {
      const Assignment assignment = random_assignment(whole, random);
      const Placement in_whole(whole, assignment), in_merged(merged.problem, assignment, merged.weights);
      EXPECT_EQ(in_merged.cost(), testing::cost_by_hand(whole, assignment));
      EXPECT_EQ(in_merged.max_saving(0, 3), in_whole.max_saving(0, 3));
      for (std::size_t t = 0; t < whole.step_count(); ++t)
        EXPECT_EQ(in_merged.straggler()[merged.step_of[t]], in_whole.straggler()[t]);
    }
  }
}

TEST(MergedSteps, StepsWithOtherFloorsAreKeptApart) {
  LayerProblem whole = repeated_problem({});
  std::vector<std::int32_t> floor(whole.column_count(), 0);
  for (std::size_t t = 0; t < 5; ++t) floor[t] = 1000;
  whole.set_floor(floor);
  const MergedSteps merged = merge_equal_steps(whole);
  ASSERT_EQ(merged.problem.step_count(), 12u) << "the first five, twice the same, and two";
  RandomStream random{2};
  const Assignment assignment = random_assignment(whole, random);
  EXPECT_EQ(Placement(merged.problem, assignment, merged.weights).cost(), cost_of(whole, assignment));
}

TEST(MergedSteps, AStartTellsTheCostOfTheWhole) {
  const LayerProblem whole = repeated_problem({});
  RandomStream random{3};
  const StartResult found = run_start(whole, random_assignment(whole, random), RandomStream{4}, {.iterations = 10});
  EXPECT_EQ(found.cost, testing::cost_by_hand(whole, found.assignment));
}

}  // namespace
}  // namespace gem
