#include "profile/validation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"

namespace gem {
namespace {

std::size_t sum(const std::vector<std::uint32_t>& tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), std::size_t{0});
}

TEST(Validation, RandomLoadsAreSkewedAndWithinBounds) {
  ValidationLoads loads;
  add_random_loads(loads, 300, 8, {.least_tokens = 1, .most_tokens = 500}, 1);
  ASSERT_EQ(loads.tokens_per_slot.size(), 300u);
  std::size_t small = 0, skewed = 0;
  for (const auto& tokens : loads.tokens_per_slot) {
    EXPECT_EQ(tokens.size(), 8u);
    EXPECT_GE(sum(tokens), 1u);
    EXPECT_LE(sum(tokens), 500u);
    small += sum(tokens) < 30 ? 1 : 0;
    skewed += *std::max_element(tokens.begin(), tokens.end()) * 2 > sum(tokens) ? 1 : 0;
  }
  EXPECT_GT(small, 100u);
  EXPECT_GT(skewed, 60u);
  EXPECT_LT(skewed, 250u);
}

TEST(Validation, RandomLoadsKeepTheLeastActiveExperts) {
  const auto few = [](const LoadDistribution& distribution) {
    ValidationLoads loads;
    add_random_loads(loads, 200, 8, distribution, 1);
    return std::ranges::count_if(loads.tokens_per_slot,
                                 [](const auto& tokens) { return std::ranges::count(tokens, 0u) > 2; });
  };
  EXPECT_GT(few({.least_tokens = 8, .most_tokens = 60}), 20);
  EXPECT_EQ(few({.least_tokens = 8, .most_tokens = 60, .least_active = 6}), 0);
}

LoadTrace small_trace() {
  LoadTrace trace;
  trace.model = "test";
  trace.task = "mmlu";
  trace.layer_ids = {0};
  trace.counts = Cube<std::uint32_t>(2, 1, 4);
  trace.counts.row(0, 0)[0] = 7;
  trace.counts.row(0, 0)[3] = 900;
  trace.counts.row(1, 0)[2] = 5;
  return trace;
}

TEST(Validation, TraceLoadsAreOfTheTrace) {
  ValidationLoads loads;
  add_trace_loads(loads, 20, 2, 100, small_trace(), 1);
  ASSERT_EQ(loads.tokens_per_slot.size(), 20u);
  for (const auto& tokens : loads.tokens_per_slot)
    EXPECT_TRUE(tokens == (std::vector<std::uint32_t>{7, 0}) || tokens == (std::vector<std::uint32_t>{5, 0}));
  EXPECT_EQ(loads.source[0], "mmlu");
  EXPECT_THROW(add_trace_loads(loads, 20, 8, 100, small_trace(), 1), UsageError);
  EXPECT_THROW(add_trace_loads(loads, 20, 2, 1, small_trace(), 1), UsageError);
}

// A device whose latency is tiles + 10 per active expert, in microseconds: the surface is exact, the curve isn't.
TEST(Validation, ComparesBothPredictions) {
  LatencyProfile profile;
  profile.devices.resize(1);
  profile.tile_tokens = 16;
  profile.points = {{1, 1, 16}, {20, 1, 320}, {4, 4, 64}, {40, 4, 640}};
  profile.median_s = Matrix<double>(1, 4);
  for (std::size_t p = 0; p < 4; ++p)
    profile.median_s(0, p) =
        1e-6 * static_cast<double>(profile.points[p].tiles + 10 * profile.points[p].active_experts);
  ValidationLoads loads{{{300, 0, 0, 0}, {17, 5, 0, 0}}, {"random", "random"}};  // 19 tiles of 1, 3 tiles of 2
  Matrix<double> measured_s(1, 2);
  measured_s(0, 0) = 29e-6;
  measured_s(0, 1) = 23e-6;
  const Validation validation = validate(profile, loads, measured_s);
  EXPECT_NEAR(validation.surface_s(0, 0), 29e-6, 1e-12);
  EXPECT_NEAR(validation.surface_s(0, 1), 23e-6, 1e-12);
  EXPECT_GT(validation.curve_s(0, 0), 40e-6);
  EXPECT_TRUE(validation.plain_s == validation.surface_s);
  const std::string table = validation_table(validation);
  EXPECT_EQ(table.find("as if even"), std::string::npos) << table;
  EXPECT_NE(table.find("0.00"), std::string::npos) << table;
  const std::string csv = validation_csv(validation, profile.load_rules());
  profile.rule = {.last_tile_rows = 16, .row_s = 1e-8};
  const Validation bent = validate(profile, loads, measured_s);
  EXPECT_TRUE(bent.plain_s == validation.plain_s);
  EXPECT_NE(validation_table(bent).find("as if even"), std::string::npos);
  EXPECT_NE(csv.find("1,random,0,3,2,22,17 5 0 0,2.3e-05,2.3e-05,"), std::string::npos) << csv;
}

}  // namespace
}  // namespace gem
