#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "search/exact_search.hpp"
#include "search/halves_search.hpp"
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

// 7 experts on 3 devices: 7! / (3! 2! 2!) = 210 assignments.
TEST(Optimum, IsFoundWhereExpertsDoNotDivide) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto made = made_up_problem(7, 3, 30, seed);
    const LayerProblem& problem = made.problems[0];
    std::int64_t optimum = INT64_MAX;
    int count = 0;
    for_each_assignment(problem, [&](const Assignment& assignment) {
      optimum = std::min(optimum, testing::cost_by_hand(problem, assignment));
      ++count;
    });
    EXPECT_EQ(count, 210);
    RandomStream random{seed};
    const StartResult result = run_start(problem, random_assignment(problem, random), random, {200, {}});
    EXPECT_EQ(result.cost, optimum) << "seed " << seed;
    std::vector<int> held(3, 0);
    for (const std::int32_t device : result.assignment) ++held[static_cast<std::size_t>(device)];
    EXPECT_EQ(held, (std::vector<int>{3, 2, 2}));
    EXPECT_LE(WaterFilling(problem.tables()).bound(problem), optimum);
    EXPECT_FALSE(ExactSearch::fits(7, 3, problem.column_count()));
  }
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

// A device that takes next to nothing has its part before the others: what is left is bounded by the others alone, so
// that a start that is best is proven so by looking at each part that the first device can have.
TEST(ExactSearch, BoundsWhatIsLeftByTheDevicesThatAreLeft) {
  auto made = made_up_problem(9, 3, 1, 1);
  for (std::size_t p = 0; p < made.profile.points.size(); ++p)
    for (std::size_t d = 0; d < 3; ++d)
      made.profile.median_s(d, p) = (d == 0 ? 1e-9 : 1e-6) * static_cast<double>(made.profile.points[p].tiles);
  made.trace.counts.values().assign(9, 16);
  const LayerProblem problem = layer_problems(CostModel(made.profile), made.trace)[0];
  const ExactResult result = ExactSearch(9, 3).solve(problem, {0, 0, 0, 1, 1, 1, 2, 2, 2});
  EXPECT_TRUE(result.proven);
  EXPECT_EQ(result.cost, 3000);
  EXPECT_EQ(result.nodes, 84u) << "9! / (3! 6!)";
}

TEST(ExactSearch, GivesUpWithoutAProof) {
  const auto made = made_up_problem(8, 4, 30, 1);
  RandomStream random{1};
  const Assignment start = random_assignment(made.problems[0], random);
  const ExactResult result = ExactSearch(8, 4).solve(made.problems[0], start, 3);
  EXPECT_FALSE(result.proven);
  EXPECT_EQ(result.lower_bound, 0);
  EXPECT_LE(result.cost, cost_of(made.problems[0], start));
}

TEST(ExactSearch, KnowsWhatItCanHold) {
  EXPECT_TRUE(ExactSearch::fits(16, 4, 1000));
  EXPECT_TRUE(ExactSearch::fits(8, 2, 16));
  EXPECT_FALSE(ExactSearch::fits(64, 8, 16));
  EXPECT_FALSE(ExactSearch::fits(16, 4, 100000000));
}

// Halves of one device and of several, as many and more in the second, equal devices, steps that are there twice, loads
// with ticks beside.
TEST(HalvesSearch, ProvesTheBestOfAllAssignments) {
  struct Shape {
    std::size_t experts, devices, steps;
    double spread;
  };
  for (const Shape& shape : {Shape{8, 4, 30, 1.28}, Shape{8, 4, 5, 1.0}, Shape{9, 3, 5, 1.28}, Shape{6, 2, 16, 1.0},
                             Shape{10, 5, 3, 1.28}, Shape{6, 6, 12, 1.0}}) {
    ASSERT_TRUE(HalvesSearch::fits(shape.experts, shape.devices, 32));
    const HalvesSearch halves(shape.experts, shape.devices);
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
      auto made = made_up_problem(shape.experts, shape.devices, shape.steps, seed);
      made.profile = testing::made_up_profile(shape.devices, shape.experts / shape.devices, shape.spread);
      made.profile.rule = load_rules()[seed % 2];
      std::ranges::copy(std::vector(made.trace.counts.row(0, 0).begin(), made.trace.counts.row(0, 0).end()),
                        made.trace.counts.row(shape.steps - 1, 0).begin());
      const LayerProblem problem = layer_problems(CostModel(made.profile), made.trace)[0];
      std::int64_t optimum = INT64_MAX;
      for_each_assignment(problem, [&](const Assignment& assignment) {
        optimum = std::min(optimum, testing::cost_by_hand(problem, assignment));
      });
      RandomStream random{seed};
      const Assignment start = random_assignment(problem, random);
      const ExactResult result = halves.solve(problem, start);
      EXPECT_TRUE(result.proven);
      EXPECT_EQ(result.cost, optimum);
      EXPECT_EQ(result.lower_bound, optimum);
      EXPECT_EQ(cost_of(problem, result.assignment), optimum);
      const ExactResult given_up = halves.solve(problem, start, 1);
      EXPECT_LE(given_up.lower_bound, optimum);
      EXPECT_GE(given_up.cost, optimum);
      EXPECT_GE(given_up.lower_bound, std::min(optimum, WaterFilling(problem.tables()).bound(problem)));
      const ExactResult stopped = halves.solve(problem, start, HalvesSearch::default_max_nodes, [] { return true; });
      EXPECT_FALSE(stopped.proven);
      EXPECT_EQ(stopped.lower_bound, 0) << "not all sets were bounded";
    }
  }
}

// 11.7e9 assignments, more than are looked at one device after the other; as the search finds them, but proven.
TEST(HalvesSearch, ProvesTwentyExpertsOnFourDevices) {
  EXPECT_FALSE(ExactSearch::fits(20, 4, 16));
  ASSERT_TRUE(HalvesSearch::fits(20, 4, 16));
  EXPECT_FALSE(HalvesSearch::fits(32, 8, 16));
  EXPECT_FALSE(HalvesSearch::fits(22, 4, 16)) << "they don't divide";
  auto made = made_up_problem(20, 4, 2, 6);
  const LayerProblem& problem = made.problems[0];
  RandomStream random{6};
  const StartResult found = run_start(problem, random_assignment(problem, random), random, {200, {}});
  const ExactResult result = HalvesSearch(20, 4).solve(problem, found.assignment);
  EXPECT_TRUE(result.proven);
  EXPECT_LE(result.cost, found.cost);
  EXPECT_EQ(cost_of(problem, result.assignment), result.cost);
  EXPECT_GE(result.lower_bound, WaterFilling(problem.tables()).bound(problem));
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
