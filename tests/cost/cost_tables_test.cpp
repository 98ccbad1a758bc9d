#include "cost/cost_tables.hpp"

#include <gtest/gtest.h>

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
