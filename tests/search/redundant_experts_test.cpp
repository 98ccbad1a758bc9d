#include "search/redundant_experts.hpp"

#include <gtest/gtest.h>

#include "search/layer_search.hpp"
#include "search/random_problem.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

struct Shape {
  std::size_t experts, redundant, devices;
};
const Shape shapes[] = {{16, 4, 4}, {16, 16, 4}, {8, 24, 4}, {32, 8, 8}, {6, 2, 2}};

// No device holds two copies of an expert, and each holds as many as the others.
void expect_apart(const Assignment& assignment, const std::vector<std::int32_t>& expert_of_copy,
                  std::size_t device_count) {
  Matrix<int> held(device_count, assignment.size());
  std::vector<std::size_t> slots(device_count, 0);
  for (std::size_t copy = 0; copy < assignment.size(); ++copy) {
    ++slots[static_cast<std::size_t>(assignment[copy])];
    EXPECT_EQ(++held(static_cast<std::size_t>(assignment[copy]), static_cast<std::size_t>(expert_of_copy[copy])), 1);
  }
  for (const std::size_t count : slots) EXPECT_EQ(count, assignment.size() / device_count);
}

LayerProblem problem_with_copies(const Shape& shape, std::uint64_t seed) {
  const LoadTrace trace = testing::made_up_trace(40, 1, shape.experts, seed);
  const CopyCounts copies = choose_copies(trace, shape.redundant, shape.devices);
  const auto slots = (shape.experts + shape.redundant) / shape.devices;
  const LatencyProfile profile = testing::made_up_profile(shape.devices, slots);
  LayerProblem problem = layer_problems(CostModel(profile), split_over_copies(trace, copies))[0];
  problem.set_copies(experts_of_copies(copies.row(0)));
  return problem;
}

TEST(RedundantExperts, TheHeaviestGetCopiesAtMostOneADevice) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 4);
  trace.counts.values() = {100, 30, 20, 40};
  EXPECT_EQ(choose_copies(trace, 2, 4).values(), (std::vector<std::int32_t>{3, 1, 1, 1}));
  EXPECT_EQ(choose_copies(trace, 4, 2).values(), (std::vector<std::int32_t>{2, 2, 2, 2}));
  EXPECT_EQ(choose_copies(trace, 4, 4).values(), (std::vector<std::int32_t>{4, 1, 1, 2}));
}

TEST(RedundantExperts, WaysToCopyGoFromTheLightestToTheHeaviest) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(2, 1, 4);
  trace.counts.values() = {100, 30, 20, 0, 100, 30, 20, 198};
  const std::vector<CopyCounts> ways = ways_to_copy(trace, 4, 3);
  ASSERT_EQ(ways.size(), 12u);
  EXPECT_EQ(ways[0].values(), (std::vector<std::int32_t>{1, 3, 3, 1}));
  EXPECT_EQ(ways[1].values(), (std::vector<std::int32_t>{2, 2, 3, 1}));
  EXPECT_EQ(ways[4].values(), choose_copies(trace, 4, 3).values());
  EXPECT_EQ(ways[5].values(), (std::vector<std::int32_t>{3, 1, 1, 3}));
  EXPECT_EQ(ways[6].values(), (std::vector<std::int32_t>{1, 2, 3, 2})) << "what varies the most, then the lightest";
}

TEST(RedundantExperts, WhatVariesAndWhatIsLargestInItsStepsGetCopies) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(3, 1, 4);
  trace.counts.values() = {100, 90, 0, 0, 100, 90, 120, 0, 100, 90, 0, 20};
  const std::vector<CopyCounts> ways = ways_to_copy(trace, 2, 4);
  EXPECT_EQ(ways[4].values(), (std::vector<std::int32_t>{2, 2, 1, 1})) << "mean";
  EXPECT_EQ(ways[9].values(), (std::vector<std::int32_t>{1, 1, 3, 1})) << "standard deviation";
  // The first is the largest of two steps, by 10 each; then the second of these, by 40.
  EXPECT_EQ(ways[11].values(), (std::vector<std::int32_t>{2, 2, 1, 1})) << "the largest copies";
}

TEST(RedundantExperts, WaysToCopySpendAllCopiesAtMostOneADevice) {
  for (const Shape& shape : shapes)
    for (const CopyCounts& copies :
         ways_to_copy(testing::made_up_trace(40, 2, shape.experts, 1), shape.redundant, shape.devices))
      for (std::size_t layer = 0; layer < 2; ++layer) {
        std::size_t sum = 0;
        for (const std::int32_t count : copies.row(layer)) {
          sum += static_cast<std::size_t>(count);
          EXPECT_GE(count, 1);
          EXPECT_LE(count, static_cast<std::int32_t>(shape.devices));
        }
        EXPECT_EQ(sum, shape.experts + shape.redundant);
      }
}

TEST(RedundantExperts, CopiesOfAnExpertAreSeparated) {
  for (const Shape& shape : shapes)
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
      const LayerProblem problem = problem_with_copies(shape, seed);
      RandomStream random{seed};
      Assignment assignment(problem.expert_count());
      for (std::size_t copy = 0; copy < assignment.size(); ++copy)
        assignment[copy] = static_cast<std::int32_t>(copy / problem.slots_of(0));  // copies of an expert side by side
      if (seed > 0) random.shuffle(std::span(assignment));
      std::vector<double> loads(assignment.size());
      for (double& load : loads) load = random.uniform();
      separate_copies(assignment, problem.expert_of_copy(), loads, shape.devices);
      expect_apart(assignment, problem.expert_of_copy(), shape.devices);
    }
}

TEST(RedundantExperts, TheSearchKeepsThemApartAndItsCostsExact) {
  for (const Shape& shape : shapes)
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
      const LayerProblem problem = problem_with_copies(shape, seed);
      RandomStream random{seed};
      const Assignment start = random_assignment(problem, random);
      expect_apart(start, problem.expert_of_copy(), shape.devices);
      const StartResult result = run_start(problem, start, RandomStream{seed}, {20, {}});
      expect_apart(result.assignment, problem.expert_of_copy(), shape.devices);
      EXPECT_EQ(result.cost, testing::cost_by_hand(problem, result.assignment));
      EXPECT_LE(result.cost, cost_of(problem, start));
    }
}

TEST(RedundantExperts, TheSearchFindsTheBestOfAllThatKeepThemApart) {
  const LayerProblem problem = problem_with_copies({6, 2, 2}, 7);
  std::int64_t least = INT64_MAX;
  testing::for_each_assignment(problem, [&](const Assignment& assignment) {
    for (std::size_t copy = 1; copy < assignment.size(); ++copy)
      if (problem.expert_of_copy()[copy] == problem.expert_of_copy()[copy - 1] &&
          assignment[copy] == assignment[copy - 1])
        return;
    least = std::min(least, testing::cost_by_hand(problem, assignment));
  });
  std::int64_t found = INT64_MAX;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    RandomStream random{seed};
    found = std::min(found, run_start(problem, random_assignment(problem, random), random, {50, {}}).cost);
  }
  EXPECT_EQ(found, least);
}

TEST(RedundantExperts, TheBoundHoldsForAllCopiesThatCouldBeChosen) {
  constexpr std::size_t experts = 4, redundant = 2, devices = 2;
  std::size_t chosen_alone_is_too_high = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    const LoadTrace trace = testing::made_up_trace(3, 1, experts, seed);
    LatencyProfile profile = testing::made_up_profile(devices, (experts + redundant) / devices);
    if (seed % 2 == 1) profile.rule = {8, 2e-7, {{1, 1e-6}}};
    const CostModel model(profile);
    std::int64_t least = INT64_MAX, chosen_bound = 0;
    for (std::size_t a = 0; a < experts; ++a)
      for (std::size_t b = a + 1; b < experts; ++b) {
        CopyCounts copies(1, experts, 1);
        copies(0, a) = copies(0, b) = 2;
        LayerProblem problem = layer_problems(model, split_over_copies(trace, copies))[0];
        problem.set_copies(experts_of_copies(copies.row(0)));
        testing::for_each_assignment(problem, [&](const Assignment& assignment) {
          least = std::min(least, testing::cost_by_hand(problem, assignment));
        });
        chosen_bound = std::max(chosen_bound, WaterFilling(problem.tables()).bound(problem));
      }
    const LayerCost loads = bounding_layer_costs(model, trace, (experts + redundant) / devices)[0];
    const std::int64_t bound = WaterFilling(loads.tables(), {}, false).bound(loads);
    EXPECT_LE(bound, least) << "seed " << seed;
    EXPECT_GT(bound, 0);
    chosen_alone_is_too_high += chosen_bound > least ? 1 : 0;
  }
  EXPECT_GT(chosen_alone_is_too_high, 0u) << "then the test would show nothing";
}

TEST(RedundantExperts, AMappingHasFirstHomesAndTheRest) {
  CopyCounts copies(1, 3, 1);
  copies.values() = {2, 1, 3};
  Assignment assignment{2, 0, 1, 2, 0, 1};
  order_copies(assignment, experts_of_copies(copies.row(0)));
  EXPECT_EQ(assignment, (Assignment{0, 2, 1, 0, 1, 2}));
  const Mapping mapping = mapping_of({assignment}, copies, 3);
  EXPECT_EQ(mapping.expert_to_device.values(), (std::vector<std::int32_t>{0, 1, 0}));
  EXPECT_EQ(mapping.redundant.values(), (std::vector<RedundantCopy>{{0, 2}, {2, 1}, {2, 2}}));
  EXPECT_NO_THROW(check_mapping(mapping, "m.h5"));
  EXPECT_EQ(copies_of(mapping), copies);
  EXPECT_EQ(assignment_of(mapping, 0), assignment);
}

}  // namespace
}  // namespace gem
