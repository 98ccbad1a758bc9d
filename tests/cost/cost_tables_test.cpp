#include "cost/cost_tables.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "cost/layer_cost.hpp"
#include "search/placement.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

using testing::load_rules;
using testing::made_up_problem;

TEST(CostTables, TimesOfLoadsAreThoseOfTheSurface) {
  const auto made = made_up_problem(8, 4, 40, 1, 1, LoadFeatures::TilesAndExperts, load_rules()[1]);
  const LayerProblem& problem = made.problems[0];
  const Placement placement(problem, {0, 1, 2, 3, 3, 2, 1, 0});
  const std::vector<LatencySurface> surfaces = surfaces_of(made.profile);
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t t = 0; t < 40; ++t) {
      DeviceLoad load;
      for (const std::int32_t expert : placement.experts_of(static_cast<std::int32_t>(d)))
        load.add(made.profile.load_rule(), made.trace.counts(t, 0, static_cast<std::size_t>(expert)));
      // Rounded to nanoseconds three times.
      EXPECT_NEAR(placement.time(static_cast<std::int32_t>(d))[t] * 1e-9, surfaces[d].seconds(load), 2.1e-9);
    }
}

// Of tiles that are a power of two, and of others; the last layer has the largest load.
TEST(CostTables, KeysAreThoseOfTheTokensAndTablesEndAtTheLargestLoad) {
  for (const std::uint32_t tile : {16U, 1U, 12U}) {
    LatencyProfile profile = testing::made_up_profile(4, 3);
    profile.tile_tokens = tile;
    LoadTrace trace = testing::made_up_trace(37, 3, 12, 5);
    trace.counts(20, 2, 3) += 50;
    const auto layers = layer_costs(CostModel(profile), trace);
    const LoadKeys& keys = *layers[0].tables().keys(profiled_stage);
    std::int64_t max_key = 0;
    for (std::size_t layer = 0; layer < layers.size(); ++layer)
      for (std::size_t t = 0; t < trace.step_count(); ++t) {
        std::vector<std::int64_t> step_keys;
        for (std::size_t e = 0; e < trace.expert_count(); ++e) {
          step_keys.push_back(keys.of(trace.counts(t, layer, e)));
          EXPECT_EQ(layers[layer].row(static_cast<std::int32_t>(e)).key[t], step_keys.back()) << tile << " tokens";
        }
        std::ranges::sort(step_keys, std::greater<>());
        max_key = std::max(max_key, std::accumulate(step_keys.begin(), step_keys.begin() + 3, std::int64_t{0}));
      }
    EXPECT_EQ(static_cast<std::int64_t>(layers[0].tables().of(0).size()), max_key + 1) << tile << " tokens";
    for (std::size_t t = trace.step_count(); t < layers[0].padded_steps(); ++t) EXPECT_EQ(layers[0].row(0).key[t], 0);
  }
}

TEST(CostTables, RulesBeyondBeliefAreRefused) {
  const LoadTrace trace = testing::made_up_trace(10, 1, 8, 1);
  for (const LoadCosts& rule : {LoadCosts{.bends = {{1, 0.5}}}, LoadCosts{.row_s = 0.5}}) {
    LatencyProfile profile = testing::made_up_profile(2, 4);
    profile.rule = rule;
    EXPECT_THROW(layer_costs(CostModel(profile), trace), DataError);
    EXPECT_EQ(layer_costs(CostModel(profile, {.features = LoadFeatures::Tokens}), trace).size(), 1u);
  }
}

TEST(CostTables, LatenciesTooLongForNanosecondsGetLongerTicks) {
  LatencyProfile profile = testing::made_up_profile(2, 4);
  for (double& latency : profile.median_s.values()) latency *= 1e6;  // seconds
  const LoadTrace trace = testing::made_up_trace(10, 1, 8, 1);
  const CostModel model(profile);
  const auto problems = layer_costs(model, trace);
  EXPECT_GT(problems[0].tables().tick_s(), 1e-9);
  const LoadKeys& keys = *problems[0].tables().keys(profiled_stage);
  const auto key = static_cast<std::int32_t>(keys.of(40));
  EXPECT_NEAR(problems[0].tables().of(1)[static_cast<std::size_t>(key)] * problems[0].tables().tick_s(),
              model.latencies().even_s(1, 0, 3, 1, 40), 1e-7);
}

}  // namespace
}  // namespace gem
