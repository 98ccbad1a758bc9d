// Layers whose exchange is counted inside nodes and across them: what they cost, how they are searched and bounded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "search/layer_search.hpp"
#include "search/moves.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "search/run_time_balance.hpp"
#include "search/score.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

using testing::for_each_assignment;
using testing::made_up_problem;

// Slow links, so that the exchange matters.
LatencyProfile on_nodes(LatencyProfile profile, std::size_t nodes) {
  profile.expert = {1024, 512};
  profile.topology =
      stated_topology({.nodes = nodes, .inside_gb_per_s = 80, .across_gb_per_s = 8}, {}, profile.device_count());
  return profile;
}

LayerProblem with_nodes(const testing::MadeUp& made, std::size_t nodes) {
  return layer_problems(CostModel(on_nodes(made.profile, nodes), {.across_nodes = AcrossNodes::Node}), made.trace)[0];
}

// Ticks of one stage of the slow and obvious kind: the fullest part, by device or by node.
std::int64_t fullest(const LayerProblem& problem, const Assignment& assignment, std::size_t stage,
                     const std::vector<std::int32_t>& part_of) {
  std::int64_t cost = 0;
  for (std::size_t t = 0; t < problem.step_count(); ++t) {
    std::vector<std::int64_t> ticks(problem.device_count(), 0);
    for (std::size_t e = 0; e < assignment.size(); ++e)
      ticks[static_cast<std::size_t>(part_of[static_cast<std::size_t>(assignment[e])])] +=
          problem.row(static_cast<std::int32_t>(e)).added[problem.first_column(stage) + t];
    cost += std::ranges::max(ticks);
  }
  return cost;
}

TEST(NodeStages, TakeTheFullestNodeBesideTheFullestDevice) {
  const auto made = made_up_problem(16, 8, 20, 5);
  const std::vector<std::int32_t> devices{0, 1, 2, 3, 4, 5, 6, 7}, nodes{0, 0, 1, 1, 2, 2, 3, 3};
  const LayerProblem problem = with_nodes(made, 4);
  ASSERT_EQ(problem.stage_count(), 3u);
  EXPECT_EQ(problem.tables().node_of(), nodes);
  RandomStream random{7};
  for (int i = 0; i < 10; ++i) {
    const Assignment assignment = random_assignment(problem, random);
    const std::int64_t whole = testing::cost_by_hand(made.problems[0], assignment) +
                               fullest(problem, assignment, 1, devices) + fullest(problem, assignment, 2, nodes);
    EXPECT_EQ(cost_of(problem, assignment), whole);
    // A row is 4 bytes an element, 6 of 8 come from other nodes, two cards share a node's rows.
    const double row_ticks = 4.0 * 1024 / 8e9 * 0.75 / 2.0 / problem.tables().tick_s();
    EXPECT_NEAR(problem.row(0).added[problem.first_column(2)], row_ticks * made.trace.counts(0, 0, 0), 0.51);
    for (const std::int32_t other : {1, 2, 7}) {
      Placement placement(problem, assignment);
      for (const auto& move : make_moves())
        if (const auto found = move->evaluate(placement, 0, other)) {
          const std::int64_t before = placement.cost();
          placement.apply(found->relocations);
          EXPECT_EQ(placement.cost(), before + found->change);
          EXPECT_EQ(placement.cost(), cost_of(problem, placement.assignment()));
        }
    }
  }
}

TEST(NodeStages, TheBestSwapOfAllIsFound) {
  const auto made = made_up_problem(16, 8, 20, 9);
  const LayerProblem problem = with_nodes(made, 4);
  RandomStream random{3};
  for (int i = 0; i < 10; ++i) {
    const Assignment assignment = random_assignment(problem, random);
    const Placement placement(problem, assignment);
    for (const std::int32_t other : {1, 2, 7}) {
      std::int64_t best = placement.cost();
      for (const std::int32_t a : placement.experts_of(0))
        for (const std::int32_t b : placement.experts_of(other)) {
          Assignment swapped = assignment;
          std::swap(swapped[static_cast<std::size_t>(a)], swapped[static_cast<std::size_t>(b)]);
          best = std::min(best, cost_of(problem, swapped));
        }
      const auto found = make_moves()[0]->evaluate(placement, 0, other);
      EXPECT_EQ(found ? found->change : 0, best - placement.cost());
    }
  }
}

TEST(NodeStages, SearchReachesTheBestOfAllAssignmentsAndTheBoundStaysBelow) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto made = made_up_problem(8, 4, 30, seed);
    const LayerProblem problem = with_nodes(made, 2);
    std::int64_t optimum = INT64_MAX;
    for_each_assignment(
        problem, [&](const Assignment& assignment) { optimum = std::min(optimum, cost_of(problem, assignment)); });
    RandomStream random{seed};
    EXPECT_EQ(run_start(problem, random_assignment(problem, random), random, {300, {}}).cost, optimum)
        << "seed " << seed;
    const std::int64_t bound = WaterFilling(problem.tables()).bound(problem);
    EXPECT_LE(bound, optimum);
    EXPECT_GT(bound, optimum / 2);
  }
}

TEST(NodeStages, AreCountedOnlyWhereNodesAndLinksAreKnown) {
  const auto made = made_up_problem(8, 4, 5, 1);
  EXPECT_EQ(CostModel(made.profile).stage_count(), 1u);
  const LatencyProfile profile = on_nodes(made.profile, 2);
  EXPECT_EQ(CostModel(profile).stage_count(), 2u) << "each device by its own card: one stage";
  EXPECT_EQ(CostModel(profile, {.across_nodes = AcrossNodes::Off}).stage_count(), 1u);
  EXPECT_EQ(CostModel(profile, {.exchange_row_ns = 20.0, .across_nodes = AcrossNodes::Node}).stage_count(), 2u)
      << "the time a row that is given, alone";
  EXPECT_EQ(CostModel(on_nodes(made.profile, 1)).stage_count(), 1u);
}

TEST(NodeStages, AreScoredAlikeByTheSearchAndStepByStep) {
  const auto made = made_up_problem(16, 8, 20, 5);
  const CostModel model(on_nodes(made.profile, 4), {.across_nodes = AcrossNodes::Node});
  RandomStream random{2};
  const LayerProblem problem = layer_problems(model, made.trace)[0];
  const Mapping mapping = mapping_of({random_assignment(problem, random)}, {}, 8);
  const Score searched = score_of({problem}, mapping),
              stepwise = score_split(model, made.trace, mapping, CopySplit::Even);
  EXPECT_NEAR(stepwise.mean_s, searched.mean_s, 1e-3 * searched.mean_s);
  EXPECT_NEAR(stepwise.imbalance, searched.imbalance, 1e-3);
}

}  // namespace
}  // namespace gem
