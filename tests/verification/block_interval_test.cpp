#include "verification/block_interval.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.hpp"

namespace gem {
namespace {

TEST(BlockInterval, BlocksAreAsLongAsTheSquareRoot) {
  EXPECT_EQ(block_length(1), 1u);
  EXPECT_EQ(block_length(16), 4u);
  EXPECT_EQ(block_length(130), 11u);
}

double width(const Interval& interval) {
  return interval.high - interval.low;
}

TEST(BlockInterval, IsWiderWhereNeighboursAreAlikeAndNotWhereTheyAreNot) {
  RandomStream random{5};
  const std::vector<double> bottom(400, 1.0);
  std::vector<double> alike, apart;
  double level = 0.0;
  for (std::size_t i = 0; i < bottom.size(); ++i) {
    level = 0.9 * level + 0.01 * random.normal();
    alike.push_back(0.9 + level);
    apart.push_back(0.9 + 0.02 * random.normal());
  }
  EXPECT_GT(width(bootstrap_blocks(alike, bottom, 20, 1)), 2.0 * width(bootstrap_ratio(alike, bottom, 1)));
  EXPECT_NEAR(width(bootstrap_blocks(apart, bottom, 20, 1)) / width(bootstrap_ratio(apart, bottom, 1)), 1.0, 0.3);
  EXPECT_NEAR(width(bootstrap_blocks(alike, bottom, 1, 1)) / width(bootstrap_ratio(alike, bottom, 1)), 1.0, 0.1);
}

}  // namespace
}  // namespace gem
