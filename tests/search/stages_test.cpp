// Layers of two stages, compute and exchange: what they cost, how they are searched and bounded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "search/copies_bound.hpp"
#include "search/exact_search.hpp"
#include "search/layer_search.hpp"
#include "search/moves.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "search/score.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

using testing::for_each_assignment;
using testing::load_rules;
using testing::made_up_problem;

constexpr double row_ns = 50.0;

std::vector<LayerProblem> with_exchange(const testing::MadeUp& made, double nanoseconds_a_row = row_ns) {
  return layer_problems(CostModel(made.profile, {.exchange_row_ns = nanoseconds_a_row}), made.trace);
}

// Ticks that the rows of the device that gets most take, over all steps of layer 0.
std::int64_t exchange_by_hand(const LayerProblem& problem, const LoadTrace& trace, const Assignment& assignment) {
  std::int64_t cost = 0;
  for (std::size_t t = 0; t < trace.step_count(); ++t) {
    std::vector<std::int64_t> device_ticks(problem.device_count(), 0);
    for (std::size_t e = 0; e < assignment.size(); ++e)
      device_ticks[static_cast<std::size_t>(assignment[e])] +=
          std::llround(row_ns * 1e-9 * trace.counts(t, 0, e) / problem.tables().tick_s());
    cost += std::ranges::max(device_ticks);
  }
  return cost;
}

TEST(Stages, CostsWhatTheRowsOfTheFullestDeviceTakeBesideTheCompute) {
  for (const LoadCosts& rule : load_rules()) {
    const auto made = made_up_problem(12, 4, 20, 5, 1, LoadFeatures::TilesAndExperts, rule);
    const std::vector<LayerProblem> problems = with_exchange(made);
    RandomStream random{7};
    for (int i = 0; i < 5; ++i) {
      const Assignment assignment = random_assignment(problems[0], random);
      const std::int64_t compute = testing::cost_by_hand(made.problems[0], assignment);
      const std::int64_t whole = compute + exchange_by_hand(problems[0], made.trace, assignment);
      EXPECT_EQ(cost_of(problems[0], assignment), whole);
      const Mapping mapping = mapping_of({assignment}, {}, 4);
      const Score score = score_of(problems, mapping);
      EXPECT_NEAR(score.mean_s, mean_seconds(problems[0], whole), 1e-12);
      EXPECT_EQ(score.imbalance, score_of(made.problems, mapping).imbalance) << "of the compute";

      // Of any two devices the move that lowers the whole cost the most, by what it says (delta_check.cpp looks, too).
      Placement placement(problems[0], assignment);
      for (const auto& move : make_moves())
        if (const auto found = move->evaluate(placement, 0, 1)) {
          placement.apply(found->relocations);
          EXPECT_EQ(placement.cost(), whole + found->change);
          EXPECT_EQ(placement.cost(), cost_of(problems[0], placement.assignment()));
        }
    }
  }
}

// Ticks of the exchange that rows of so many tokens an expert are bounded by, on the devices from `first_device` on.
std::int64_t exchange_bound(const std::vector<std::uint32_t>& tokens, std::size_t first_device = 0) {
  auto made = made_up_problem(tokens.size(), 4, 1, 1);
  made.trace.counts.values() = tokens;
  const LayerProblem problem = with_exchange(made)[0];
  return WaterFilling(problem.tables(), {first_device}).stage_bound(problem, 1);
}

TEST(Stages, TheBoundOfTheExchangeIsAnEvenShareOrTheFullestExpert) {
  EXPECT_EQ(exchange_bound({10, 10, 10, 10, 10, 10, 10, 10}), 20 * 50);
  EXPECT_EQ(exchange_bound({10, 10, 10, 10, 10, 10, 10, 10}, 2), 40 * 50);
  EXPECT_EQ(exchange_bound({1, 2, 33, 0, 4, 10, 20, 10}), 33 * 50);
}

// Two rows take 0.8 ns and count as one tick; on two devices each row takes 0.4 ns and counts as none.
TEST(Stages, TheBoundOfCopiesAllowsForTheRoundingOfEach) {
  auto made = made_up_problem(2, 2, 1, 1);
  made.trace.counts.values() = {2, 2};
  const CostModel model(made.profile, {.exchange_row_ns = 0.4});
  const LayerCost loads = bounding_layer_costs(model, made.trace, 2)[0];
  CopyCounts copies(1, 2, 2);
  const LayerProblem problem = layer_problems(model, split_over_copies(made.trace, copies))[0];
  for (std::int32_t copy = 0; copy < 4; ++copy) EXPECT_EQ(problem.row(copy).added[problem.first_column(1)], 0);
  EXPECT_EQ(WaterFilling(loads.tables(), {}, false).stage_bound(loads, 1), 0);
}

TEST(Stages, SearchReachesTheBestOfAllAssignmentsAndTheBoundStaysBelow) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const auto made = made_up_problem(8, 4, 30, seed, 1, LoadFeatures::TilesAndExperts, load_rules()[seed % 3]);
    const LayerProblem problem = with_exchange(made)[0];
    std::int64_t optimum = INT64_MAX, min_compute = INT64_MAX;
    for_each_assignment(problem, [&](const Assignment& assignment) {
      optimum = std::min(optimum, cost_of(problem, assignment));
      min_compute = std::min(min_compute, cost_of(made.problems[0], assignment));
    });
    RandomStream random{seed};
    const Assignment initial = random_assignment(problem, random);
    EXPECT_EQ(run_start(problem, initial, random, {300, {}}).cost, optimum) << "seed " << seed;
    const ExactResult exact = ExactSearch(8, 4).solve(problem, initial);
    EXPECT_TRUE(exact.proven);
    EXPECT_EQ(exact.cost, optimum);
    const WaterFilling water_filling(problem.tables());
    EXPECT_LE(water_filling.bound(problem), optimum);
    EXPECT_GT(water_filling.bound(problem), optimum / 2);
    EXPECT_LE(water_filling.stage_bound(problem, profiled_stage), min_compute);
    EXPECT_EQ(water_filling.stage_bound(problem, profiled_stage),
              WaterFilling(made.problems[0].tables()).bound(made.problems[0]));
    EXPECT_GT(water_filling.bound(problem), water_filling.stage_bound(problem, profiled_stage))
        << "the exchange is bounded, too";
  }
}

TEST(Stages, BoundsHoldForAnyCopies) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto made = made_up_problem(6, 2, 20, seed);
    testing::expect_bound_below_any_copies(CostModel(made.profile, {.exchange_row_ns = row_ns}), made.trace, seed);
  }
}

TEST(Stages, ATimeBeyondBeliefIsRefused) {
  const auto made = made_up_problem(8, 4, 30, 1);
  EXPECT_THROW(with_exchange(made, 1e8), UsageError);
}

}  // namespace
}  // namespace gem
