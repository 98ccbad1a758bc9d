// The time of each device's shared experts, a constant inside the maximum over devices: what layers cost with it, and
// how they are searched, bounded and predicted.
#include <gtest/gtest.h>

#include <algorithm>

#include "cost/prediction.hpp"
#include "search/copies_bound.hpp"
#include "search/exact_search.hpp"
#include "search/layer_search.hpp"
#include "search/random_problem.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

using testing::for_each_assignment;
using testing::load_rules;
using testing::made_up_problem;

// Of the last device 40 us more than of the first one; whole nanoseconds.
void add_shared_times(LatencyProfile& profile) {
  profile.shared_tokens = {16, 64};
  profile.shared_s = Matrix<double>(profile.device_count(), 2);
  for (std::size_t d = 0; d < profile.device_count(); ++d) {
    const double slower = static_cast<double>(d) / static_cast<double>(profile.device_count() - 1);
    profile.shared_s(d, 0) = 4e-6;
    profile.shared_s(d, 1) = 10e-6 + slower * 40e-6;
  }
}

CostOptions counted() {
  CostOptions options;
  options.shared_tokens = 64.0;
  return options;
}

testing::MadeUp with_shared(std::size_t experts, std::size_t devices, std::size_t steps, std::uint64_t seed,
                            const LoadCosts& rule = {}) {
  auto made = made_up_problem(experts, devices, steps, seed, 1, LoadFeatures::TilesAndExperts, rule);
  add_shared_times(made.profile);
  return made;
}

TEST(SharedExperts, AreInsideTheMaximumOverDevicesThatHaveALoad) {
  for (const LoadCosts& rule : load_rules()) {
    auto made = with_shared(8, 4, 20, 3, rule);
    for (std::size_t e = 0; e < 8; ++e) made.trace.counts(0, 0, e) = e == 5 ? 40 : 0;
    const LayerProblem alone = layer_problems(CostModel(made.profile), made.trace)[0];
    const LayerProblem whole = layer_problems(CostModel(made.profile, counted()), made.trace)[0];
    ASSERT_EQ(whole.tables().tick_s(), 1e-9);
    RandomStream random{7};
    for (int i = 0; i < 5; ++i) {
      const Assignment assignment = random_assignment(alone, random);
      const Placement placement(alone, assignment);
      std::int64_t cost = 0;
      for (std::size_t t = 0; t < 20; ++t) {
        std::int32_t slowest = 0;
        for (std::size_t d = 0; d < 4; ++d) {
          const std::int32_t own = placement.time(static_cast<std::int32_t>(d))[t];
          const auto shared = static_cast<std::int32_t>(std::llround(made.profile.shared_s(d, 1) * 1e9));
          slowest = std::max(slowest, own > 0 ? own + shared : 0);
        }
        cost += slowest;
      }
      EXPECT_NEAR(static_cast<double>(cost_of(whole, assignment)), static_cast<double>(cost), 20.0) << "of rounding";
    }
  }
}

TEST(SharedExperts, SearchReachesTheBestOfAllAssignmentsAndTheBoundStaysBelow) {
  int changed = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const auto made = with_shared(8, 4, 30, seed, load_rules()[seed % 3]);
    const LayerProblem& alone = made.problems[0];
    const LayerProblem whole = layer_problems(CostModel(made.profile, counted()), made.trace)[0];
    Assignment best_alone;
    std::int64_t optimum = INT64_MAX, optimum_alone = INT64_MAX;
    for_each_assignment(whole, [&](const Assignment& assignment) {
      optimum = std::min(optimum, testing::cost_by_hand(whole, assignment));
      if (const std::int64_t cost = cost_of(alone, assignment); cost < optimum_alone) {
        optimum_alone = cost;
        best_alone = assignment;
      }
    });
    changed += cost_of(whole, best_alone) > optimum ? 1 : 0;
    RandomStream random{seed};
    const Assignment initial = random_assignment(whole, random);
    EXPECT_EQ(run_start(whole, initial, random, {300, {}}).cost, optimum) << "seed " << seed;
    const ExactResult exact = ExactSearch(8, 4).solve(whole, initial);
    EXPECT_TRUE(exact.proven);
    EXPECT_EQ(exact.cost, optimum);
    const std::int64_t bound = WaterFilling(whole.tables()).bound(whole);
    EXPECT_LE(bound, optimum);
    EXPECT_GT(bound, WaterFilling(alone.tables()).bound(alone)) << "they are bounded, too";
  }
  EXPECT_GE(changed, 6) << "what is best without them isn't with them";
}

TEST(SharedExperts, BoundsHoldForAnyCopies) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const auto made = with_shared(6, 2, 20, seed, load_rules()[seed % 3]);
    testing::expect_bound_below_any_copies(CostModel(made.profile, counted()), made.trace, seed);
  }
}

TEST(SharedExperts, ArePredictedAsTheyAreSearched) {
  auto made = with_shared(4, 2, 3, 1);
  made.trace.counts.values() = {40, 20, 30, 10, 40, 0, 0, 0, 0, 0, 16, 16};
  const std::vector<ExpertHomes> homes{ExpertHomes(std::vector<std::int32_t>{0, 0, 1, 1})};
  const CostModel alone(made.profile), whole(made.profile, counted());
  const Cube<double> alone_s = predict(alone, profiled_stage, made.trace, homes);
  const Cube<double> whole_s = predict(whole, profiled_stage, made.trace, homes);
  const double shared_s[] = {10e-6, 50e-6};
  const bool loaded[3][2] = {{true, true}, {true, false}, {false, true}};
  for (std::size_t t = 0; t < 3; ++t)
    for (std::size_t d = 0; d < 2; ++d)
      EXPECT_NEAR(whole_s(t, 0, d) - alone_s(t, 0, d), loaded[t][d] ? shared_s[d] : 0.0, 1e-12);
  const LayerProblem problem = layer_problems(whole, made.trace)[0];
  EXPECT_NEAR(mean_seconds(problem, cost_of(problem, {0, 0, 1, 1})),
              (std::max(whole_s(0, 0, 0), whole_s(0, 0, 1)) + whole_s(1, 0, 0) + whole_s(2, 0, 1)) / 3.0, 2e-9);
}

TEST(SharedExperts, CountWhereTheProfileHasThemAndNobodyLeavesThemOut) {
  LatencyProfile profile = testing::made_up_profile(4, 8);
  CostOptions options;
  EXPECT_EQ(count_shared_experts(options, profile, 256.0), "");
  EXPECT_EQ(options.shared_tokens, 0.0);
  add_shared_times(profile);
  const std::string note = count_shared_experts(options, profile, 256.0);
  EXPECT_EQ(options.shared_tokens, 64.0) << "of 256 on 4 devices";
  EXPECT_NE(note.find("10 us to 50 us for its own 64 tokens"), std::string::npos) << note;
  CostOptions ignoring;
  ignoring.shared_experts = SharedExperts::Ignore;
  EXPECT_EQ(count_shared_experts(ignoring, profile, 256.0), "");
  EXPECT_EQ(ignoring.shared_tokens, 0.0);
}

}  // namespace
}  // namespace gem
