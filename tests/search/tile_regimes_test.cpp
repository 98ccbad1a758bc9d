// A kernel that chooses its tile by the rows of its device: what layers cost, how they are searched and bounded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "cost/device_loads.hpp"
#include "cost/prediction.hpp"
#include "model/expert_copies.hpp"
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

// Tiles of 16 up to 40 rows of a device, of 32 up to 70, of 16 in another configuration up to 110, of 64 beyond: each
// with a surface of its own, none of them convex.
LatencyProfile with_tiles(LatencyProfile profile) {
  const std::int64_t experts = profile.points.back().active_experts;
  profile.regimes = {{1, 40, 16, 0}, {41, 70, 32, 0}, {71, 110, 16, 0}, {111, greatest_load, 64, 0}};
  std::vector<std::vector<double>> medians_s(profile.device_count());
  for (std::size_t r = 0; r < profile.regimes.size(); ++r)
    for (std::int64_t active = 1; active <= experts; ++active)
      for (std::int64_t tiles = active; tiles <= active + 40; tiles += tiles < 12 ? 1 : 4) {
        const auto tile = static_cast<std::int64_t>(profile.regimes[r].tile_tokens);
        profile.regime_points.push_back({tiles, active, tiles * tile});
        ++profile.regimes[r].point_count;
        for (std::size_t d = 0; d < medians_s.size(); ++d)
          medians_s[d].push_back(3e-6 * static_cast<double>(r % 3 + 2) +
                                 std::max((1.0 + 0.1 * static_cast<double>(d)) * 2.2e-7 * static_cast<double>(tile) *
                                              std::ceil(static_cast<double>(tiles) / (r == 2 ? 3.0 : 2.0)) /
                                              (r == 1 ? 1.3 : 1.0),
                                          3e-6 * static_cast<double>(active)));
      }
  profile.regime_median_s = Matrix<double>(medians_s.size(), profile.regime_points.size());
  for (std::size_t d = 0; d < medians_s.size(); ++d)
    std::ranges::copy(medians_s[d], profile.regime_median_s.row(d).begin());
  return profile;
}

testing::MadeUp made_up(std::size_t experts, std::size_t devices, std::size_t steps, std::uint64_t seed,
                        double exchange_row_ns = 0.0) {
  testing::MadeUp made{with_tiles(testing::made_up_profile(devices, experts / devices)),
                       testing::made_up_trace(steps, 1, experts, seed),
                       {}};
  made.problems = layer_problems(CostModel(made.profile, {.exchange_row_ns = exchange_row_ns}), made.trace);
  return made;
}

// By the surfaces, device by device, without keys and planes.
std::int64_t compute_by_hand(const testing::MadeUp& made, const Assignment& assignment) {
  const std::vector<TileSurfaces> surfaces = tile_surfaces_of(made.profile);
  std::int64_t cost = 0;
  for (std::size_t t = 0; t < made.trace.step_count(); ++t) {
    std::int64_t slowest = 0;
    for (std::size_t d = 0; d < surfaces.size(); ++d) {
      std::vector<std::uint32_t> tokens;
      for (std::size_t e = 0; e < assignment.size(); ++e)
        if (assignment[e] == static_cast<std::int32_t>(d)) tokens.push_back(made.trace.counts(t, 0, e));
      const double seconds = surfaces[d].seconds(load_of(tokens, made.profile.load_rules()));
      slowest = std::max<std::int64_t>(slowest, std::llround(seconds / made.problems[0].tables().tick_s()));
    }
    cost += slowest;
  }
  return cost;
}

TEST(TileRegimes, EachIsMetByTheLoadsOfTheseTests) {
  const auto made = made_up(12, 4, 60, 5);
  std::vector<std::size_t> met(4);
  std::vector<DeviceLoad> loads(4);
  std::vector<std::int32_t> homes(12);
  for (std::size_t e = 0; e < homes.size(); ++e) homes[e] = static_cast<std::int32_t>(e % 4);
  const LoadRules rules = made.profile.load_rules();
  for (std::size_t t = 0; t < made.trace.step_count(); ++t) {
    sum_loads(made.trace.counts.row(t, 0), ExpertHomes(homes), rules, loads);
    for (const DeviceLoad& load : loads) ++met[rules.regime_of(load.tokens)];
  }
  EXPECT_GT(std::ranges::min(met), 5u);
}

TEST(TileRegimes, CostsAreThoseOfTheSurfaceOfEachDevicesRows) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    for (const double row_ns : {0.0, 50.0}) {
      const auto made = made_up(12, 4, 40, seed, row_ns);
      const LayerProblem& problem = made.problems[0];
      RandomStream random{seed};
      for (int i = 0; i < 5; ++i) {
        const Assignment assignment = random_assignment(problem, random);
        const std::int64_t cost = cost_of(problem, assignment);
        if (row_ns == 0.0) {
          EXPECT_EQ(cost, compute_by_hand(made, assignment));
        } else {
          EXPECT_GT(cost, compute_by_hand(made, assignment));
        }
        // What moves say is what the whole cost says, by all that was summed anew.
        Placement placement(problem, assignment);
        for (std::int32_t second = 1; second < 4; ++second)
          for (const auto& move : make_moves())
            if (const auto found = move->evaluate(placement, 0, second)) {
              const std::int64_t before = placement.cost();
              placement.apply(found->relocations);
              EXPECT_EQ(placement.cost(), before + found->change);
              EXPECT_EQ(placement.cost(), cost_of(problem, placement.assignment()));
            }
        const std::vector<ExpertHomes> layer_homes{ExpertHomes(assignment)};
        const Cube<double> predicted = predict(CostModel(made.profile), profiled_stage, made.trace, layer_homes);
        double sum_s = 0.0;
        for (std::size_t t = 0; t < made.trace.step_count(); ++t) sum_s += std::ranges::max(predicted.row(t, 0));
        if (row_ns > 0.0) continue;
        EXPECT_NEAR(sum_s, static_cast<double>(cost) * problem.tables().tick_s(), 1e-9 * 40);
      }
    }
}

TEST(TileRegimes, SearchReachesTheBestOfAllAssignmentsAndBoundsStayBelow) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto made = made_up(8, 4, 30, seed, seed % 2 == 0 ? 40.0 : 0.0);
    const LayerProblem& problem = made.problems[0];
    std::int64_t optimum = INT64_MAX;
    std::vector<std::int32_t> min_ticks(problem.column_count(), INT32_MAX);
    for_each_assignment(problem, [&](const Assignment& assignment) {
      const Placement placement(problem, assignment);
      optimum = std::min(optimum, placement.cost());
      for (std::size_t column = 0; column < min_ticks.size(); ++column)
        min_ticks[column] = std::min(min_ticks[column], placement.column_cost()[column]);
    });
    RandomStream random{seed};
    const Assignment initial = random_assignment(problem, random);
    EXPECT_EQ(run_start(problem, initial, random, {300, {}}).cost, optimum) << "seed " << seed;
    const ExactResult exact = ExactSearch(8, 4).solve(problem, initial);
    EXPECT_TRUE(exact.proven);
    EXPECT_EQ(exact.cost, optimum);
    std::vector<std::int32_t> experts{0, 1, 2, 3, 4, 5, 6, 7}, bounds;
    const WaterFilling water_filling(problem.tables());
    water_filling.column_bounds(problem, experts, bounds);
    for (std::size_t column = 0; column < bounds.size(); ++column)
      EXPECT_LE(bounds[column], min_ticks[column]) << "column " << column;
    EXPECT_GT(water_filling.bound(problem), optimum / 2);
  }
}

TEST(TileRegimes, BoundsHoldForAnyCopies) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto made = made_up(6, 2, 20, seed);
    const CostModel model(with_tiles(testing::made_up_profile(2, 4)));
    testing::expect_bound_below_any_copies(model, made.trace, seed);
  }
}

TEST(TileRegimes, MergedExpertsCostTheSame) {
  const auto made = made_up(8, 2, 20, 3);
  const LayerProblem& problem = made.problems[0];
  const Assignment pairs{0, 0, 1, 1, 1, 1, 0, 0};
  EXPECT_EQ(cost_of(LayerProblem(problem.merged(2)), {0, 1, 1, 0}), cost_of(problem, pairs));
}

// The same tile throughout is the same as one tile, to the tick.
TEST(TileRegimes, OneTileInTwoRegimesIsOneTile) {
  LatencyProfile one = testing::made_up_profile(4, 3);
  LatencyProfile two = one;
  two.regimes = {{1, 100, 16, one.points.size()}, {101, greatest_load, 16, one.points.size()}};
  two.regime_median_s = Matrix<double>(4, 2 * one.points.size());
  for (int regime = 0; regime < 2; ++regime)
    two.regime_points.insert(two.regime_points.end(), one.points.begin(), one.points.end());
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t p = 0; p < two.regime_points.size(); ++p)
      two.regime_median_s(d, p) = one.median_s(d, p % one.points.size());
  const LoadTrace trace = testing::made_up_trace(30, 1, 12, 9);
  const LayerProblem plain = layer_problems(CostModel(one), trace)[0],
                     chosen = layer_problems(CostModel(two), trace)[0];
  RandomStream random{4};
  for (int i = 0; i < 10; ++i) {
    const Assignment assignment = random_assignment(plain, random);
    EXPECT_EQ(cost_of(chosen, assignment), cost_of(plain, assignment));
  }
  const Assignment start = random_assignment(plain, random);
  EXPECT_EQ(run_start(chosen, start, RandomStream{1}, {50, {}}).assignment,
            run_start(plain, start, RandomStream{1}, {50, {}}).assignment);
  EXPECT_LE(WaterFilling(chosen.tables()).bound(chosen), WaterFilling(plain.tables()).bound(plain));
}

}  // namespace
}  // namespace gem
