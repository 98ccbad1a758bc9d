#include "profile/plan.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/statistics.hpp"
#include "cost/device_loads.hpp"
#include "device/device_kind.hpp"
#include "model/latency_surface.hpp"

namespace gem {
namespace {

PlanOptions options_of(std::size_t experts, std::size_t tile_tokens, std::size_t max_tokens) {
  PlanOptions options;
  options.experts_per_device = experts;
  options.tile_tokens = tile_tokens;
  options.max_tokens = max_tokens;
  return options;
}

using Point = std::pair<std::int64_t, std::int64_t>;

TEST(Plan, CoversTheLoadsOfADevice) {
  for (const auto& [experts, tile_tokens, max_tokens] :
       {std::tuple{16u, 16u, 2048u}, {1u, 64u, 100u}, {7u, 1u, 50u}, {128u, 128u, 4096u}, {8u, 16u, 3u}}) {
    const std::vector<LoadPoint> plan = make_plan(options_of(experts, tile_tokens, max_tokens));
    std::set<Point> seen;
    std::int64_t most_active = 0;
    for (const LoadPoint& point : plan) {
      EXPECT_GE(point.active_experts, 1);
      EXPECT_GE(point.tiles, point.active_experts) << "an active expert has a tile";
      EXPECT_EQ(point.tokens, point.tiles * tile_tokens);
      EXPECT_TRUE(seen.emplace(point.active_experts, point.tiles).second) << "measured twice";
      most_active = std::max(most_active, point.active_experts);
    }
    EXPECT_EQ(most_active, std::min(experts, max_tokens));
    // Least and most tiles at every level: one row an expert, and max_tokens rows with a partly filled tile each.
    for (const auto& [active, tiles] : seen) {
      EXPECT_TRUE(seen.contains({active, active}));
      EXPECT_TRUE(seen.contains({active, (max_tokens + active * (tile_tokens - 1)) / tile_tokens}));
    }
  }
}

TEST(Plan, OrderIsAFunctionOfTheSeed) {
  PlanOptions options = options_of(16, 16, 2048);
  const std::vector<LoadPoint> first = make_plan(options);
  EXPECT_EQ(make_plan(options), first);
  options.seed = 2;
  const std::vector<LoadPoint> second = make_plan(options);
  EXPECT_NE(second, first);
  EXPECT_TRUE(std::is_permutation(first.begin(), first.end(), second.begin(), second.end()));
}

TEST(Plan, BothSidesOfAWaveAreMeasured) {
  PlanOptions options = options_of(4, 16, 4096);
  options.tiles_per_wave = {13.2};
  const std::vector<LoadPoint> plan = make_plan(options);
  for (std::int64_t tiles : {13, 14, 26, 27, 39, 40})
    EXPECT_NE(std::ranges::find(plan, LoadPoint{tiles, 2, tiles * 16}), plan.end()) << tiles;
}

TEST(Plan, SmallLoadsOfMostExpertsAreMeasuredTileByTile) {
  PlanOptions options = options_of(8, 32, 4096);
  options.dense_tiles = 20;
  const std::vector<LoadPoint> plan = make_plan(options);
  const auto has = [&](std::int64_t tiles, std::int64_t active) {
    return std::ranges::find(plan, LoadPoint{tiles, active, tiles * 32}) != plan.end();
  };
  for (std::int64_t active : {4, 6, 8})
    for (std::int64_t tiles = active; tiles <= 20; ++tiles) EXPECT_TRUE(has(tiles, active)) << tiles << " " << active;
  for (std::int64_t tiles : {22, 24, 38, 40, 44, 76, 80, 88}) EXPECT_TRUE(has(tiles, 8)) << tiles;
  for (std::int64_t tiles : {21, 23, 42, 46, 84}) EXPECT_FALSE(has(tiles, 8)) << tiles;
  EXPECT_FALSE(has(11, 3));
  EXPECT_FALSE(has(22, 6));
}

TEST(Plan, AWorkloadsRangeIsWhatRandomPlacementsBring) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(200, 1, 6);
  const std::uint32_t counts[] = {0, 16, 17, 40, 5, 100};
  for (std::size_t i = 0; i < trace.counts.values().size(); ++i) trace.counts.values()[i] = counts[i % 6];
  // The least three, 0, 5 and 16, and the busiest three, 17, 40 and 100, are among 1,600 draws of 20 triples.
  EXPECT_EQ(range_of_loads(trace, 3, 16), (LoadRange{2, 2, 157, 21}));
  EXPECT_EQ(range_of_loads(trace, 6, 16), (LoadRange{5, 14, 178, 178}));
  EXPECT_EQ(united({3, 5, 178, 30}, {1, 7, 157, 20}), (LoadRange{1, 5, 178, 20}));
  EXPECT_THROW(range_of_loads(trace, 7, 16), UsageError);
  std::ranges::fill(trace.counts.values(), 0u);
  EXPECT_THROW(range_of_loads(trace, 3, 16), UsageError);
}

TEST(Plan, LastTilesAreAsFullAsTheWorkloads) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 4);
  const std::uint32_t counts[] = {0, 16, 17, 35};  // 16, 1 and 3 rows in last tiles
  std::copy(std::begin(counts), std::end(counts), trace.counts.values().begin());
  EXPECT_EQ(mean_last_tile_rows(std::span(&trace, 1), 16), 7u);
  EXPECT_EQ(mean_last_tile_rows({}, 16), 8u);
}

TEST(Plan, WhatIsBelowTheRangeIsLeftOutButForOneStep) {
  PlanOptions options = options_of(8, 16, 2000);
  const std::vector<LoadPoint> whole = make_plan(options);
  options.least_active = 5;
  options.least_tiles = 21;
  const std::vector<LoadPoint> part = make_plan(options);
  EXPECT_LT(part.size(), whole.size());
  for (const LoadPoint& point : part) {
    EXPECT_GE(point.active_experts, 4);
    EXPECT_NE(std::ranges::find(whole, point), whole.end());
  }
  for (const std::int64_t active : {4, 6, 8}) {
    const auto below = [&](const LoadPoint& p) { return p.active_experts == active && p.tiles <= 21; };
    EXPECT_EQ(std::ranges::count_if(part, below), 1) << active;
  }
}

TEST(Plan, LastTilesCanBePartlyFilled) {
  PlanOptions options = options_of(6, 16, 2000);
  options.last_tile_rows = 8;
  for (const LoadPoint& point : make_plan(options)) {
    EXPECT_EQ(point.tokens, point.tiles * 16 - point.active_experts * 8);
    std::int64_t tiles = 0, active = 0, tokens = 0;
    for (const std::uint32_t t : tokens_per_slot_of(point, 16, 6, 4)) {
      tiles += (t + 15) / 16;
      active += t > 0;
      tokens += t;
    }
    EXPECT_EQ(tiles, point.tiles);
    EXPECT_EQ(active, point.active_experts);
    EXPECT_EQ(tokens, point.tokens);
  }
}

TEST(Plan, ZerosAreRefused) {
  EXPECT_THROW(make_plan(options_of(0, 16, 10)), UsageError);
  EXPECT_THROW(make_plan(options_of(4, 0, 10)), UsageError);
  EXPECT_THROW(make_plan(options_of(4, 16, 0)), UsageError);
}

TEST(Plan, APointBecomesItsLoad) {
  const LoadPoint point{11, 3, 11 * 16};
  for (std::size_t rotation = 0; rotation < 7; ++rotation) {
    const std::vector<std::uint32_t> tokens = tokens_per_slot_of(point, 16, 5, rotation);
    EXPECT_EQ(tokens.size(), 5u);
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), 0u), 11u * 16u);
    EXPECT_EQ(std::ranges::count_if(tokens, [](std::uint32_t t) { return t > 0; }), 3);
    EXPECT_GT(tokens[rotation % 5], 0u);
    for (std::uint32_t t : tokens) EXPECT_TRUE(t == 0 || t == 48 || t == 64) << t;
  }
}

TEST(Plan, TheNaivePlanHasEveryNumberOfTokens) {
  const PlanOptions options = options_of(4, 16, 200);
  std::vector<LoadPoint> plan = make_naive_plan(options);
  ASSERT_EQ(plan.size(), 200u);
  std::ranges::sort(plan, {}, &LoadPoint::tokens);
  for (std::size_t i = 0; i < plan.size(); ++i) {
    EXPECT_EQ(plan[i].tokens, static_cast<std::int64_t>(i + 1));
    const std::vector<std::uint32_t> tokens = tokens_per_slot_of(plan[i], 16, 4, i);
    std::int64_t tiles = 0;
    for (std::uint32_t t : tokens) tiles += (t + 15) / 16;
    EXPECT_EQ(tiles, plan[i].tiles);
    EXPECT_EQ(std::accumulate(tokens.begin(), tokens.end(), 0u), i + 1);
    EXPECT_LE(*std::ranges::max_element(tokens), *std::ranges::min_element(tokens) + 1);
  }
}

// The surface on the plan's points, against the device at random skewed loads that the plan doesn't know.
double surface_error(const ExpertShape& expert, std::size_t experts, std::size_t top_k, std::size_t tokens,
                     double quantile_wanted) {
  SimulatedDeviceOptions simulated;
  simulated.expert = expert;
  const SimulatedDevice device(simulated);
  PlanOptions options = options_of(experts / 4, 16, most_rows_of(tokens, top_k, experts / 4));
  options.tiles_per_wave = simulated_kind().tiles_per_wave({.kind = "simulated", .expert = expert});
  const std::vector<LoadPoint> plan = make_plan(options);
  std::vector<double> latency_s;
  for (const LoadPoint& point : plan)
    latency_s.push_back(
        device.noiseless_s(static_cast<std::size_t>(point.tiles), static_cast<std::size_t>(point.active_experts)));
  const LatencySurface surface(plan, latency_s, "test");

  RandomStream random({17});
  std::vector<double> errors;
  while (errors.size() < 500) {
    const double shape = 0.3 + 2.0 * random.uniform();
    const double mean_tokens = static_cast<double>(tokens * top_k) / static_cast<double>(experts);
    std::size_t tiles = 0, active_experts = 0;
    for (std::size_t e = 0; e < experts / 4; ++e) {
      const double load = mean_tokens * std::exp(0.7 * random.normal()) * random.gamma(shape) / shape;
      const auto rows = std::min(tokens, static_cast<std::size_t>(load));
      tiles += (rows + 15) / 16;
      active_experts += rows > 0 ? 1 : 0;
    }
    if (tiles == 0) continue;
    const double truth_s = device.noiseless_s(tiles, active_experts);
    errors.push_back(
        std::abs(surface.seconds(static_cast<double>(tiles), static_cast<double>(active_experts)) / truth_s - 1.0));
  }
  return quantile(errors, quantile_wanted);
}

TEST(Plan, TheSurfaceOnItIsTrueElsewhere) {
  const ExpertShape gpt_oss{2880, 2880}, deepseek_lite{2048, 1408}, mixtral{4096, 14336};
  for (double fraction : {0.5, 0.9}) {
    const double aim = fraction == 0.5 ? 0.015 : 0.05;
    EXPECT_LT(surface_error(gpt_oss, 32, 4, 256, fraction), aim);
    EXPECT_LT(surface_error(gpt_oss, 32, 4, 2048, fraction), aim);
    EXPECT_LT(surface_error(deepseek_lite, 64, 6, 2048, fraction), aim);
    EXPECT_LT(surface_error(mixtral, 8, 2, 2048, fraction), aim);
  }
}

TEST(Plan, UnevenLoadsAreThePoint) {
  constexpr std::size_t slots = 8, tile = 32;
  RandomStream random({1});
  std::size_t uneven = 0, loads = 0;
  for (const std::size_t last_rows : {std::size_t{0}, std::size_t{5}})
    for (const LoadPoint& point :
         make_plan({.experts_per_device = slots, .tile_tokens = tile, .max_tokens = 900, .last_tile_rows = last_rows}))
      for (int way = 0; way < 3; ++way, ++loads) {
        const auto tokens = uneven_tokens_per_slot_of(point, tile, slots, random);
        ASSERT_EQ(tokens.size(), slots);
        const DeviceLoad load = load_of(tokens, LoadRule{tile});
        EXPECT_EQ(load.tiles, point.tiles);
        EXPECT_EQ(load.active_experts, point.active_experts);
        EXPECT_EQ(load.tokens, point.tokens);
        const auto most = static_cast<double>(std::ranges::max(tokens));
        uneven += most > 1.5 * static_cast<double>(point.tokens) / static_cast<double>(point.active_experts) ? 1 : 0;
      }
  EXPECT_GT(4 * uneven, loads) << "where all tiles are full, or one expert is active, there is one way";
}

}  // namespace
}  // namespace gem
