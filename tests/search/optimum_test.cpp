#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "search/exact_search.hpp"
#include "search/layer_search.hpp"
#include "search/placement.hpp"
#include "search/random_problem.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

using testing::for_each_assignment;
using testing::load_rules;
using testing::made_up_problem;

// 8! / (2!)^4 = 2,520 assignments.
TEST(Optimum, SearchReachesTheBestOfAllAssignmentsAndTheBoundStaysBelow) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed)
    for (const auto& [features, rule] : {std::pair{LoadFeatures::TilesAndExperts, load_rules()[0]},
                                         std::pair{LoadFeatures::TilesAndExperts, load_rules()[1]},
                                         std::pair{LoadFeatures::Tokens, load_rules()[1]}}) {
      const auto made = made_up_problem(8, 4, 30, seed, 1, features, rule);
      const LayerProblem& problem = made.problems[0];
      std::int64_t optimum = INT64_MAX;
      int count = 0;
      for_each_assignment(problem, [&](const Assignment& assignment) {
        optimum = std::min(optimum, cost_of(problem, assignment));
        ++count;
      });
      EXPECT_EQ(count, 2520);
      RandomStream random{seed};
      const Assignment initial = random_assignment(problem, random);
      EXPECT_EQ(run_start(problem, initial, random, {200, {}}).cost, optimum) << "seed " << seed;
      const std::int64_t bound = WaterFilling(problem.tables()).bound(problem);
      EXPECT_LE(bound, optimum);
      EXPECT_GT(bound, optimum / 2) << "a bound this weak says nothing";
    }
}

TEST(LayerSearch, PatienceEndsAStartThatGainsNoMore) {
  const auto made = made_up_problem(32, 4, 60, 3, 1);
  const LayerProblem& problem = made.problems[0];
  RandomStream random{1};
  const Assignment initial = random_assignment(problem, random);
  const auto run = [&](std::size_t iterations, std::size_t patience) {
    return run_start(problem, initial, RandomStream{1}, {iterations, {}, patience});
  };
  const StartResult first = run(0, SIZE_MAX), patient = run(500, 10), all = run(500, SIZE_MAX);
  EXPECT_EQ(all.iterations, 500u);
  EXPECT_LT(patient.iterations, 500u);
  EXPECT_GE(patient.iterations, 10u);
  EXPECT_LE(patient.cost, first.cost);
  EXPECT_GE(patient.cost, all.cost);
  EXPECT_EQ(run(patient.iterations, SIZE_MAX).assignment, patient.assignment) << "the same way, ended earlier";
}

TEST(ExactSearch, ProvesTheBestOfAllAssignments) {
  struct Shape {
    std::size_t experts, devices, steps;
  };
  for (const Shape& shape : {Shape{8, 4, 30}, Shape{6, 2, 16}, Shape{9, 3, 5}, Shape{6, 6, 12}, Shape{10, 2, 100}}) {
    const ExactSearch exact(shape.experts, shape.devices);
    for (std::uint64_t seed = 1; seed <= 6; ++seed) {
      const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, seed, 1,
                                        LoadFeatures::TilesAndExperts, load_rules()[seed % 2]);
      const LayerProblem& problem = made.problems[0];
      std::int64_t optimum = INT64_MAX;
      for_each_assignment(problem, [&](const Assignment& assignment) {
        optimum = std::min(optimum, testing::cost_by_hand(problem, assignment));
      });
      RandomStream random{seed};
      const ExactResult result = exact.solve(problem, random_assignment(problem, random));
      EXPECT_TRUE(result.proven);
      EXPECT_EQ(result.cost, optimum);
      EXPECT_EQ(cost_of(problem, result.assignment), optimum);
    }
  }
}

TEST(ExactSearch, GivesUpWithoutAProof) {
  const auto made = made_up_problem(8, 4, 30, 1);
  RandomStream random{1};
  const Assignment start = random_assignment(made.problems[0], random);
  const ExactResult result = ExactSearch(8, 4).solve(made.problems[0], start, 3);
  EXPECT_FALSE(result.proven);
  EXPECT_LE(result.cost, cost_of(made.problems[0], start));
}

TEST(ExactSearch, KnowsWhatItCanHold) {
  EXPECT_TRUE(ExactSearch::fits(16, 4, 1000));
  EXPECT_TRUE(ExactSearch::fits(8, 2, 16));
  EXPECT_FALSE(ExactSearch::fits(64, 8, 16));
  EXPECT_FALSE(ExactSearch::fits(16, 4, 100000000));
}

TEST(WaterFilling, IsTightWhereOneExpertDoesAllTheWork) {
  auto made = made_up_problem(4, 2, 20, 1);
  for (std::size_t t = 0; t < 20; ++t)
    for (std::size_t e = 0; e < 4; ++e) made.trace.counts(t, 0, e) = e == 2 ? 200 : 0;
  const auto problems = layer_problems(CostModel(made.profile), made.trace);
  const std::int64_t best = std::min(cost_of(problems[0], {0, 1, 0, 1}), cost_of(problems[0], {0, 1, 1, 0}));
  EXPECT_EQ(WaterFilling(problems[0].tables()).bound(problems[0]), best);
}

}  // namespace
}  // namespace gem
