#include "adaptation/follow.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "cost/cost_model.hpp"
#include "search/placement.hpp"
#include "search/random_problem.hpp"
#include "search/remap.hpp"
#include "synthetic_task.hpp"

namespace gem {
namespace {

LoadTrace task(std::uint64_t seed) {
  return test::synthetic_task(seed, 400);
}

struct Outcome {
  AdaptationReport report;
  std::vector<PolicySummary> summaries;
  const PolicySummary& of(const std::string& policy) const {
    return summaries[static_cast<std::size_t>(std::ranges::find(report.policies, policy) - report.policies.begin())];
  }
};

Outcome run(const Drift& drift, const AdaptationOptions& options, const FollowOptions& follow_options = {}) {
  const LatencyProfile profile = testing::made_up_profile(4, 8);
  Outcome outcome;
  outcome.report = follow(profile, drift, options, follow_options, [](std::size_t) {});
  outcome.summaries = summarize(outcome.report, 1);
  return outcome;
}

AdaptationOptions options() {
  AdaptationOptions options;
  options.engine_window = 200;
  options.engine_interval = 400;
  options.move_s = 2e-5;
  return options;
}

TEST(Follow, WithoutDriftNothingIsMovedAndNothingIsLost) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const Outcome still = run(make_drift({task(seed)}, TaskOrder::InTurn, 1, 1500, {}, 4), options());
    EXPECT_EQ(still.of(judged_policy).moved, 0u) << seed;
    EXPECT_LE(still.of(judged_policy).relative, 1.001);
    EXPECT_FALSE(findings_of(still.report, 1).is_worse);
  }
}

TEST(Follow, ADeviceThatSlowsDownIsSeenAndGetsLess) {
  const std::vector<SlowdownChange> changes{{400, 1, 1.28}, {1100, 1, 1.0}};
  const Outcome drifting = run(make_drift({task(1)}, TaskOrder::InTurn, 1, 1800, changes, 4), options());
  EXPECT_LT(drifting.of(judged_policy).interval.high, 1.0);
  EXPECT_GE(drifting.of(judged_policy).recovered, 0.8);
  EXPECT_LE(drifting.of(judged_policy).reaction_steps, 4.0);  // a large change is told by 3 steps, at any time
  EXPECT_LT(drifting.of(judged_policy).total_s, drifting.of("periodic eplb").total_s);
  EXPECT_NEAR(drifting.report.believed_slowdown(500, 1), 1.28, 0.01);
  EXPECT_NEAR(drifting.report.believed_slowdown(1500, 1), 1.0, 0.01);
}

// At first few experts move, since the device may be as fast as before any time.
TEST(Follow, MoreMovesOnceADevicesSpeedHasLasted) {
  AdaptationOptions policies = options();
  policies.max_moves = 4;
  const Outcome drifting = run(make_drift({task(4)}, TaskOrder::InTurn, 1, 1400, {{900, 1, 1.28}}, 4), policies);
  const auto judged = static_cast<std::size_t>(std::ranges::find(drifting.report.policies, judged_policy) -
                                               drifting.report.policies.begin());
  std::vector<std::size_t> moves;  // steps after the change
  for (std::size_t step = 0; step < drifting.report.step_count(); ++step)
    if (drifting.report.moved(judged, step) > 0) moves.push_back(drifting.report.first_step + step - 900);
  ASSERT_EQ(moves.size(), 2u);
  EXPECT_LE(moves[0], 4u);
  EXPECT_GE(moves[1], moves[0] + 2 * policies.window);
  EXPECT_LE(moves[1], moves[0] + 2 * policies.window + 2 * policies.interval);
}

TEST(Follow, AnotherTaskIsSeenAndFollowed) {
  const Outcome drifting = run(make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 2000, {}, 4), options());
  EXPECT_LT(drifting.of(judged_policy).interval.high, 1.0);
  EXPECT_GE(drifting.of(judged_policy).recovered, 0.8);
  EXPECT_GT(drifting.of(judged_policy).remappings, 0u);
  EXPECT_LE(drifting.of(judged_policy).reaction_steps, 40.0);  // half a window tells a task that is another
  const double regret_s = drifting.of(judged_policy).total_s - drifting.of(oracle_policy).total_s;
  EXPECT_EQ(drifting.of(judged_policy).regret_s, regret_s);
  const AdaptationFindings findings = findings_of(drifting.report, 1);
  EXPECT_NE(findings.text.find("Regret"), std::string::npos) << findings.text;
  EXPECT_NE(findings_record(drifting.report, findings).text().find("\"regret_s\""), std::string::npos);
}

// More often steps that stand still would be the 99th percentile of all.
TEST(Follow, ASlowDriftIsFollowedInFewerThanOneStepOfAHundred) {
  AdaptationOptions policies = options();
  policies.move_s = 1e-8;
  const Outcome drifting = run(make_drift({task(1), task(2)}, TaskOrder::Mixed, 1, 1128, {}, 4), policies);
  EXPECT_GT(drifting.of(judged_policy).remappings, 4u);
  EXPECT_LE(drifting.of(judged_policy).remappings, 9u);
}

TEST(Follow, ATaskThatComesBackIsFollowedSoonerThanANewOne) {
  const Outcome drifting = run(make_drift({task(1), task(2)}, TaskOrder::Alternating, 300, 1800, {}, 4), options());
  EXPECT_LT(drifting.of(judged_policy).interval.high, 1.0);
  EXPECT_GE(drifting.of(judged_policy).recovered, 0.75);
  const std::vector<double>& reactions = drifting.of(judged_policy).reactions;
  ASSERT_EQ(reactions.size(), 5u);
  for (std::size_t change = 1; change < reactions.size(); ++change)
    EXPECT_LT(reactions[change], reactions[0]) << change;
}

// Otherwise a policy that searches longer than the oracle would be said to win more of its gain than it does.
TEST(Follow, TheOracleGoesOnSearchingWhereTheDescentStops) {
  const AdaptationOptions policies = options();
  const LatencyProfile profile = testing::made_up_profile(4, 8);
  const Drift drift = make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 1000, {}, 4);
  const std::vector<PolicyStart> starts = make_policies(profile, drift, policies);
  const PolicyStart& oracle = starts.back();
  ASSERT_EQ(oracle.policy->name(), oracle_policy);
  const std::size_t begin = policies.train_steps, ahead = drift.changes.front() - begin;
  std::vector<Assignment> wanted = oracle.placement;
  for (const LayerChange& change : oracle.policy->decide(begin, oracle.placement))
    wanted[change.layer] = change.assignment;
  const std::vector<LayerProblem> problems = layer_problems(CostModel(profile), steps_of(drift.trace, begin, ahead));
  std::int64_t oracle_cost = 0, descent_cost = 0;
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    const std::int64_t price = move_price(problems[layer], policies.move_s, static_cast<double>(ahead));
    const DeviceContents present = device_contents(oracle.placement[layer], 4);
    const std::vector<RemapPoint> front = remap_front(problems[layer], present, {.move_ticks = price});
    const RemapPoint& descent = front[best_point(front, price)];
    descent_cost += descent.cost + static_cast<std::int64_t>(descent.moves) * price;
    LayerProblem counted = problems[layer];
    counted.set_present(present, {SIZE_MAX, price});
    oracle_cost += Placement(counted, wanted[layer]).cost();
  }
  EXPECT_LT(oracle_cost, descent_cost);
}

TEST(Follow, MovesStayWithinTheBudgetOfAStep) {
  FollowOptions budget;
  budget.moves_a_step = 8;
  const Outcome drifting = run(make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 1000, {}, 4), options(), budget);
  const auto judged = static_cast<std::size_t>(std::ranges::find(drifting.report.policies, judged_policy) -
                                               drifting.report.policies.begin());
  EXPECT_GT(drifting.of(judged_policy).moved, 8u);
  EXPECT_LE(*std::ranges::max_element(drifting.report.moved.row(judged)), 8u);
}

TEST(Follow, MovesThatCostMoreThanTheyBringAreNotMade) {
  AdaptationOptions dear = options();
  dear.move_s = 10.0;
  const Outcome drifting = run(make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 800, {}, 4), dear);
  EXPECT_EQ(drifting.of(judged_policy).moved, 0u);
  EXPECT_EQ(drifting.of(oracle_policy).moved, 0u);
}

TEST(Follow, AWorsePolicyIsCalledWorse) {
  Outcome still = run(make_drift({task(1)}, TaskOrder::InTurn, 1, 600, {}, 4), options());
  const auto judged =
      static_cast<std::size_t>(std::ranges::find(still.report.policies, judged_policy) - still.report.policies.begin());
  for (double& seconds : still.report.step_s.row(judged)) seconds *= 1.01;
  still.report.moved(judged, 100) = 1;
  const AdaptationFindings findings = findings_of(still.report, 1);
  EXPECT_FALSE(findings.nothing_moved);
  EXPECT_TRUE(findings.is_worse);
  EXPECT_NE(findings.text.find("VERDICT: SLOWER - triggered gem takes 1.01"), std::string::npos) << findings.text;
  EXPECT_NE(findings.text.find("simulated devices"), std::string::npos) << findings.text;
}

TEST(Follow, APolicyThatMovedNothingIsNeitherFasterNorSlower) {
  const Outcome still = run(make_drift({task(1)}, TaskOrder::InTurn, 1, 600, {}, 4), options());
  const auto judged =
      static_cast<std::size_t>(std::ranges::find(still.report.policies, judged_policy) - still.report.policies.begin());
  for (const double factor : {0.999, 1.0, 1.001}) {
    AdaptationReport report = still.report;
    for (double& seconds : report.step_s.row(judged)) seconds *= factor;
    const AdaptationFindings findings = findings_of(report, 1);
    EXPECT_FALSE(findings.is_worse) << factor;
    EXPECT_EQ(findings.verdict, "not worse") << factor;
    EXPECT_NE(findings.text.find("VERDICT: NOT WORSE - triggered gem moved nothing, so nothing could be won"),
              std::string::npos)
        << findings.text;
    const std::string json = findings_record(report, findings).text();
    EXPECT_NE(json.find("\"nothing_moved\": true, \"verdict\": \"not worse\""), std::string::npos) << json;
  }
}

TEST(Follow, WrongOutputsAreWrongEvenWhereNothingMoved) {
  Outcome still = run(make_drift({task(1)}, TaskOrder::InTurn, 1, 600, {}, 4), options());
  still.report.moving = "pause";
  still.report.output_error.assign(still.report.policy_count(), 1.0);
  still.report.checked_values = still.report.unequal_values = std::vector<std::int64_t>(still.report.policy_count(), 1);
  const AdaptationFindings findings = findings_of(still.report, 1);
  EXPECT_TRUE(findings.is_worse);
  EXPECT_EQ(findings.verdict, "wrong");
}

}  // namespace
}  // namespace gem
