#include "search/water_filling.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "search/layer_search.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

struct Load {
  std::int64_t units = 0, experts = 0;
};

// The minimum time in which the devices carry the load, by trying every entry of the tables as that time.
std::int32_t poured_by_hand(const CostTables& tables, std::size_t stage, Load load, std::int64_t unit_weight,
                            std::int64_t expert_weight) {
  const std::int32_t radix = tables.keys(stage)->radix;
  const std::int64_t whole = unit_weight * load.units + expert_weight * load.experts;
  if (whole == 0) return 0;
  std::vector<std::int32_t> times;
  for (std::size_t d = 0; d < tables.device_count(); ++d)
    times.insert(times.end(), tables.even(stage, d).begin(), tables.even(stage, d).end());
  std::ranges::sort(times);
  for (const std::int32_t time : times) {
    std::int64_t carried = 0;
    for (std::size_t d = 0; d < tables.device_count(); ++d) {
      std::int64_t most = 0;
      for (std::int32_t key = 1; key < static_cast<std::int32_t>(tables.even(stage, d).size()); ++key) {
        const std::int64_t units = key / radix, experts = key % radix;
        if (radix > 1 && (experts < 1 || experts > units)) continue;
        if (tables.even(stage, d)[static_cast<std::size_t>(key)] <= time)
          most = std::max(most, unit_weight * units + expert_weight * experts);
      }
      carried += most;
    }
    if (carried >= whole) return time;
  }
  return 0;
}

// The minimum time of any device with this expert and whatever else.
std::int32_t alone_by_hand(const CostTables& tables, std::size_t stage, std::int32_t own) {
  const std::int32_t radix = tables.keys(stage)->radix;
  std::int32_t time = INT32_MAX;
  for (std::size_t d = 0; d < tables.device_count(); ++d)
    for (std::int32_t key = own; key < static_cast<std::int32_t>(tables.even(stage, d).size()); ++key) {
      const std::int32_t units = key / radix - own / radix, experts = key % radix - own % radix;
      if (experts < 0 || experts > units) continue;
      time = std::min(time, tables.even(stage, d)[static_cast<std::size_t>(key)]);
    }
  return time;
}

constexpr std::int64_t weights[][2] = {{1, 0}, {4, 1}, {2, 1},  {1, 1},  {1, 2},
                                       {1, 4}, {1, 8}, {1, 16}, {1, 32}, {0, 1}};

TEST(WaterFilling, IsWhatPouringByHandGives) {
  for (const auto& [features, rule] : {std::pair{LoadFeatures::TilesAndExperts, testing::load_rules()[0]},
                                       std::pair{LoadFeatures::TilesAndExperts, testing::load_rules()[1]},
                                       std::pair{LoadFeatures::Tokens, testing::load_rules()[0]}})
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
      const auto made = testing::made_up_problem(8, 4, 6, seed, 1, features, rule);
      const LayerProblem& layer = made.problems[0];
      const CostTables& tables = layer.tables();
      std::vector<std::int32_t> experts(8), bounds;
      std::iota(experts.begin(), experts.end(), 0);
      WaterFilling(tables).column_bounds(layer, experts, bounds);
      const std::int32_t radix = tables.keys(0)->radix;
      for (std::size_t t = 0; t < layer.step_count(); ++t) {
        Load load;
        std::int32_t expected = 0;
        for (const std::int32_t expert : experts) {
          const std::int32_t key = layer.row(expert).key[t];
          load.units += key / radix;
          load.experts += key % radix;
          if (key > 0) expected = std::max(expected, alone_by_hand(tables, 0, key));
        }
        for (const auto& [unit_weight, expert_weight] : weights) {
          if (radix == 1 && unit_weight != 1) continue;
          expected = std::max(expected, poured_by_hand(tables, 0, load, unit_weight, expert_weight));
        }
        if (!layer.max_saved().empty()) expected = std::max(0, expected - layer.max_saved()[t]);
        EXPECT_EQ(bounds[t], expected) << "seed " << seed << ", step " << t;
      }
    }
}

// Tables whose entries for more experts than tiles, which no load has, are nearly free: none of them may be used.
TEST(WaterFilling, UsesOnlyEntriesThatALoadCanHave) {
  LatencyProfile profile = testing::made_up_profile(2, 4);
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    for (std::size_t d = 0; d < 2; ++d)
      profile.median_s(d, p) = 1e-6 * (100.0 + 10.0 * static_cast<double>(profile.points[p].tiles) -
                                       20.0 * static_cast<double>(profile.points[p].active_experts));
  LoadTrace trace = testing::made_up_trace(1, 1, 8, 1);
  for (std::uint32_t& tokens : trace.counts.values()) tokens = 1;
  const LayerProblem layer = layer_problems(CostModel(profile), trace)[0];
  std::int64_t optimum = INT64_MAX;
  testing::for_each_assignment(layer, [&](const Assignment& assignment) {
    optimum = std::min(optimum, testing::cost_by_hand(layer, assignment));
  });
  EXPECT_EQ(WaterFilling(layer.tables()).bound(layer), optimum) << "four tiles of four experts on each device";
}

// Two loads of two units take less together than either alone: no expert bounds more than what some load with it takes.
TEST(WaterFilling, AnExpertAloneBoundsNoMoreThanAnyLoadWithIt) {
  LatencyProfile profile = testing::made_up_profile(2, 4);
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    for (std::size_t d = 0; d < 2; ++d) profile.median_s(d, p) = profile.points[p].tiles < 4 ? 50e-6 : 10e-6;
  LoadTrace trace = testing::made_up_trace(1, 1, 4, 1);
  trace.counts.values() = {32, 32, 0, 0};
  for (const LoadFeatures features : {LoadFeatures::TilesAndExperts, LoadFeatures::Tokens}) {
    const LayerProblem layer = layer_problems(CostModel(profile, {.features = features}), trace)[0];
    std::int64_t optimum = INT64_MAX;
    testing::for_each_assignment(layer, [&](const Assignment& assignment) {
      optimum = std::min(optimum, testing::cost_by_hand(layer, assignment));
    });
    EXPECT_EQ(optimum, 10000);
    EXPECT_LE(WaterFilling(layer.tables()).bound(layer), optimum);
  }
}

}  // namespace
}  // namespace gem
