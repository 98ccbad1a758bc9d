#include "profile/load_rule_fit.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <span>

#include "base/random.hpp"
#include "base/statistics.hpp"
#include "model/latency_surface.hpp"
#include "profile/plan.hpp"

namespace gem {
namespace {

constexpr std::size_t experts = 16, tile_tokens = 64;
using Latency = std::function<double(std::span<const std::uint32_t>)>;

// A kernel that goes through its experts one after another; each takes the longer of reading its weights, which is as
// long as computing three tiles, and of its tiles.
double one_after_another(std::span<const std::uint32_t> tokens) {
  double seconds = 6e-6;
  for (const std::uint32_t t : tokens)
    if (t > 0) seconds += 2e-6 * std::max(3.0, static_cast<double>(tiles_of(t, tile_tokens)));
  return seconds;
}

// One that hides the reading of all weights behind the computing of all tiles.
double all_at_once(std::span<const std::uint32_t> tokens) {
  double tiles = 0.0, active = 0.0;
  for (const std::uint32_t t : tokens) {
    tiles += tiles_of(t, tile_tokens);
    active += t > 0;
  }
  return 6e-6 + 2e-6 * std::max(3.0 * active, tiles);
}

// The profile of one device with 0.5 % of noise.
LatencyProfile profile_of(const Latency& latency) {
  PlanOptions options;
  options.experts_per_device = experts;
  options.tile_tokens = tile_tokens;
  options.max_tokens = 6000;
  LatencyProfile profile;
  profile.tile_tokens = tile_tokens;
  profile.experts_per_device = experts;
  profile.rule.last_tile_rows = tile_tokens;
  profile.points = make_plan(options);
  profile.devices.resize(1);
  profile.median_s = Matrix<double>(1, profile.points.size());
  RandomStream random({5});
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    profile.median_s(0, p) =
        latency(tokens_per_slot_of(profile.points[p], tile_tokens, experts, 0)) * std::exp(0.005 * random.normal());
  return profile;
}

LoadCosts rule_for(const Latency& latency, const LatencyProfile& profile) {
  auto loads = serving_loads(profile, {}, 40, 1);
  for (auto& load : trial_loads(profile, {}, 24, 1)) loads.push_back(std::move(load));
  Matrix<double> measured_s(1, loads.size());
  RandomStream random({6});
  for (std::size_t i = 0; i < loads.size(); ++i)
    measured_s(0, i) = latency(loads[i]) * std::exp(0.005 * random.normal());
  return choose_load_rule(profile, loads, measured_s, 24);
}

// Largest error but for one load in ten, on skewed loads of partly filled tiles.
double p90_error(const Latency& latency, const LatencyProfile& profile) {
  const LatencySurface surface = surfaces_of(profile).front();
  RandomStream random({7});
  std::vector<double> errors;
  for (int i = 0; i < 200; ++i) {
    std::vector<std::uint32_t> tokens(experts);
    DeviceLoad load;
    for (std::uint32_t& t : tokens) {
      t = static_cast<std::uint32_t>(100.0 * random.gamma(0.4));
      load.add(profile.load_rule(), t);
    }
    if (load.tiles > 0) errors.push_back(std::abs(surface.seconds(load) / latency(tokens) - 1.0));
  }
  return quantile(errors, 0.9);
}

TEST(LoadRuleFit, SkewedLoadsOfAKernelThatTakesExpertsInTurnArePredicted) {
  LatencyProfile profile = profile_of(one_after_another);
  const double plain = p90_error(one_after_another, profile);
  profile.rule = rule_for(one_after_another, profile);
  EXPECT_NEAR(profile.load_rule().added_s(3 * tile_tokens), 0.0, 4e-7);
  EXPECT_NEAR(profile.load_rule().added_s(8 * tile_tokens), 5 * 2e-6, 1e-6);
  EXPECT_LT(p90_error(one_after_another, profile), 0.3 * plain);
  EXPECT_LT(p90_error(one_after_another, profile), 0.03);
}

TEST(LoadRuleFit, TilesThatBendTwiceAreFound) {
  // Beyond six tiles of an expert multiprocessors wait for each other.
  const auto bent_twice = [](std::span<const std::uint32_t> tokens) {
    double seconds = one_after_another(tokens);
    for (const std::uint32_t t : tokens)
      seconds += 6e-6 * std::max(0.0, static_cast<double>(tiles_of(t, tile_tokens)) - 6.0);
    return seconds;
  };
  LatencyProfile profile = profile_of(bent_twice);
  profile.rule = rule_for(bent_twice, profile);
  EXPECT_NEAR(profile.load_rule().added_s(6 * tile_tokens), 3 * 2e-6, 1e-6);
  EXPECT_NEAR(profile.load_rule().added_s(12 * tile_tokens), 9 * 2e-6 + 6 * 6e-6, 5e-6);
}

TEST(LoadRuleFit, RowsThatCostTimeAreFound) {
  const auto streaming = [](std::span<const std::uint32_t> tokens) {
    return all_at_once(tokens) + 2e-9 * std::accumulate(tokens.begin(), tokens.end(), 0.0);
  };
  LatencyProfile profile = profile_of(streaming);
  const LoadCosts rule = rule_for(streaming, profile);
  EXPECT_NEAR(rule.row_s, 2e-9, 8e-10);
}

TEST(LoadRuleFit, APlainRuleStaysWhereItSuffices) {
  EXPECT_TRUE(rule_for(all_at_once, profile_of(all_at_once)).is_plain());
}

TEST(LoadRuleFit, ARuleThatHoldsOnlyWhereItWasMadeIsDropped) {
  // Experts are taken in turn in loads of few tiles alone, as those that a rule is made from.
  const auto in_turn_when_small = [](std::span<const std::uint32_t> tokens) {
    const bool small = std::accumulate(tokens.begin(), tokens.end(), 0u) < 4 * experts * tile_tokens / 3;
    return small ? one_after_another(tokens) : all_at_once(tokens);
  };
  LatencyProfile profile = profile_of(all_at_once);
  auto loads = serving_loads(profile, {}, 200, 1);
  std::erase_if(loads, [](const auto& load) {
    return std::accumulate(load.begin(), load.end(), 0u) >= 4 * experts * tile_tokens / 3;
  });
  ASSERT_GE(loads.size(), 30u);
  const auto measured = [&](const auto& all) {
    Matrix<double> measured_s(1, all.size());
    for (std::size_t i = 0; i < all.size(); ++i) measured_s(0, i) = in_turn_when_small(all[i]);
    return measured_s;
  };
  auto tried_alike = loads;
  tried_alike.insert(tried_alike.end(), loads.begin(), loads.begin() + 10);
  EXPECT_FALSE(choose_load_rule(profile, tried_alike, measured(tried_alike), 10).is_plain());
  auto tried_beyond = loads;
  for (auto& load : trial_loads(profile, {}, 24, 1)) tried_beyond.push_back(std::move(load));
  EXPECT_TRUE(choose_load_rule(profile, tried_beyond, measured(tried_beyond), 24).is_plain());
  // On a few of them it is dropped, too, though it still helps in the mean.
  auto tried_mostly_alike = loads;
  tried_mostly_alike.insert(tried_mostly_alike.end(), loads.begin(), loads.begin() + 25);
  for (auto& load : trial_loads(profile, {}, 5, 1)) tried_mostly_alike.push_back(std::move(load));
  EXPECT_TRUE(choose_load_rule(profile, tried_mostly_alike, measured(tried_mostly_alike), 30).is_plain());
}

TEST(LoadRuleFit, LoadsOfServingAreSkewedAndWithinThePlan) {
  const LatencyProfile profile = profile_of(all_at_once);
  const auto loads = serving_loads(profile, {}, 40, 1);
  ASSERT_EQ(loads.size(), 40u);
  std::size_t skewed = 0;
  std::ptrdiff_t partly_filled = 0;
  for (const std::vector<std::uint32_t>& tokens : loads) {
    ASSERT_EQ(tokens.size(), experts);
    const std::uint32_t sum = std::accumulate(tokens.begin(), tokens.end(), 0u);
    EXPECT_GE(sum, experts * tile_tokens / 2);
    EXPECT_LE(sum, 3500u);
    partly_filled += std::ranges::count_if(tokens, [](std::uint32_t t) { return t % tile_tokens != 0; });
    skewed += 4 * *std::ranges::max_element(tokens) > sum;
  }
  EXPECT_GE(skewed, 10u);
  EXPECT_GE(partly_filled, 80);
  LatencyProfile one_expert = profile;
  one_expert.experts_per_device = 1;
  for (const auto& tokens : serving_loads(one_expert, {}, 40, 1)) EXPECT_GE(tokens.at(0), tile_tokens / 2);
}

TEST(LoadRuleFit, LoadsOfAWorkloadAreItsOwn) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(3, 2, 20);
  for (std::size_t i = 0; i < trace.counts.values().size(); ++i)
    trace.counts.values()[i] = static_cast<std::uint32_t>(i);
  for (const auto& tokens : serving_loads(profile_of(all_at_once), std::span(&trace, 1), 30, 1)) {
    ASSERT_EQ(tokens.size(), experts);
    const std::uint32_t row = tokens[0] / 20;
    for (const std::uint32_t t : tokens) EXPECT_EQ(t / 20, row);
    EXPECT_EQ(std::set(tokens.begin(), tokens.end()).size(), experts);
  }
  // A busy expert of one layer in 24, on two devices in three, is in more than a few of the loads.
  LoadTrace busy;
  busy.counts = Cube<std::uint32_t>(2, 24, 24);
  std::ranges::fill(busy.counts.values(), 10u);
  busy.counts(0, 7, 3) = busy.counts(1, 7, 3) = 130;
  const auto loads = serving_loads(profile_of(all_at_once), std::span(&busy, 1), 96, 1);
  EXPECT_GE(std::ranges::count_if(loads, [](const auto& load) { return std::ranges::max(load) == 130u; }), 12);
  // One expert of 20 has tokens: loads without it have none, take no time and say nothing.
  std::ranges::fill(trace.counts.values(), 0u);
  for (std::size_t row = 0; row < 6; ++row) trace.counts.values()[row * 20] = 5;
  for (const auto& tokens : serving_loads(profile_of(all_at_once), std::span(&trace, 1), 30, 1))
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), 0u), 5u);
}

TEST(LoadRule, EvenLoadsKeepTheirMeasuredLatency) {
  LatencyProfile profile = profile_of(one_after_another);
  profile.rule = {.last_tile_rows = tile_tokens, .row_s = 3e-9, .bends = {{3, 2e-6}, {4, 1e-6}}};
  const LatencySurface surface = surfaces_of(profile).front();
  for (std::size_t p = 0; p < profile.points.size(); ++p) {
    const LoadPoint& point = profile.points[p];
    if (point.tiles % point.active_experts != 0) continue;  // else it isn't quite even
    DeviceLoad load;
    for (const std::uint32_t t : tokens_per_slot_of(point, tile_tokens, experts, p)) load.add(profile.load_rule(), t);
    EXPECT_NEAR(surface.seconds(load), profile.median_s(0, p), 1e-12);
  }
}

TEST(LoadRule, CountsTilesBeyondTheBendsAndRowsOfLastTiles) {
  const LoadRule rule{16, {8, 0.5, {{3, 2.0}}}};
  EXPECT_EQ(rule.added_s(0), 0.0);
  EXPECT_EQ(rule.added_s(16), 0.5 * 8);
  EXPECT_EQ(rule.added_s(5 * 16 - 10), 2.0 * 2 - 0.5 * 2);
  EXPECT_EQ(rule.costs.even_surplus_s(10, 2), 2.0 * 4);
  EXPECT_EQ(rule.costs.even_surplus_s(5, 2), 0.0);
  const LoadRule bent_twice{16, {16, 0.0, {{3, 2.0}, {5, 10.0}}}};
  EXPECT_EQ(bent_twice.added_s(5 * 16), 2.0 * 2);
  EXPECT_EQ(bent_twice.added_s(7 * 16), 2.0 * 4 + 10.0 * 2);
  EXPECT_EQ(bent_twice.costs.even_surplus_s(12, 2), 2.0 * 6 + 10.0 * 2);
}

}  // namespace
}  // namespace gem
