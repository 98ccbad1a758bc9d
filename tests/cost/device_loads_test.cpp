#include "cost/device_loads.hpp"

#include <gtest/gtest.h>

#include "cost/load_keys.hpp"

namespace gem {
namespace {

// Tiles of 16 rows; rows of a last tile count from 8 on, tiles of an expert beyond 2 cost extra.
const LoadRule rule{16, {.last_tile_rows = 8, .row_s = 0.5, .bends = {{2, 10.0}}}};

TEST(LoadRule, AFullLastTileHasAllItsRows) {
  EXPECT_EQ(rule.rows_s(0), 0.0);
  EXPECT_EQ(rule.rows_s(1), -3.5);
  EXPECT_EQ(rule.rows_s(15), 3.5);
  EXPECT_EQ(rule.rows_s(16), 4.0);
  EXPECT_EQ(rule.rows_s(17), -3.5);
  EXPECT_EQ(rule.rows_s(32), 4.0);
}

TEST(DeviceLoads, AreSumsOverTheExperts) {
  const std::uint32_t tokens[] = {16, 0, 33, 1};
  const DeviceLoad load = load_of(tokens, rule);
  EXPECT_EQ(load.tiles, 1 + 0 + 3 + 1);
  EXPECT_EQ(load.active_experts, 3);
  EXPECT_EQ(load.tokens, 50);
  EXPECT_EQ(load.added_s, 4.0 + (10.0 - 3.5) - 3.5);
}

TEST(DeviceLoads, CopiesShareTheTokensOfTheirExpert) {
  const std::int32_t homes[] = {0, 1};
  const RedundantCopy copies[] = {{0, 1}};
  std::vector<DeviceLoad> loads(2, DeviceLoad{99, 99, 99, 99.0});  // overwritten
  const std::uint32_t tokens[] = {33, 5};
  sum_loads(tokens, ExpertHomes(homes, copies), rule, loads);
  EXPECT_EQ(loads[0].tokens, 17) << "the first copy gets the rest";
  EXPECT_EQ(loads[0].tiles, 2);
  EXPECT_EQ(loads[1].tokens, 16 + 5);
  EXPECT_EQ(loads[1].active_experts, 2);
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 2);
  trace.counts.values() = {33, 5};
  EXPECT_EQ(max_rows(trace, {ExpertHomes(homes, copies)}, 2)(0, 0), 21.0);
}

TEST(LoadKeys, AreAdditiveAndKnowWhatIsNoLoad) {
  const LoadKeys keys{16, 5};
  EXPECT_EQ(keys.of(0), 0);
  EXPECT_EQ(keys.of(1), 5 + 1);
  EXPECT_EQ(keys.of(33), 3 * 5 + 1);
  const auto both = static_cast<std::int32_t>(keys.of(33) + keys.of(16));
  EXPECT_EQ(keys.units(both), 4);
  EXPECT_EQ(keys.active_experts(both), 2);
  EXPECT_TRUE(keys.is_load(both));
  EXPECT_TRUE(keys.is_load(2 * 5 + 2));
  EXPECT_FALSE(keys.is_load(2 * 5 + 3)) << "each active expert has a tile";
  EXPECT_FALSE(keys.is_load(2 * 5)) << "tiles are of some expert";
  const LoadKeys tokens{};
  EXPECT_EQ(tokens.of(33), 33);
  EXPECT_TRUE(tokens.is_load(33));
}

}  // namespace
}  // namespace gem
