#include "base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace gem {
namespace {

TEST(RandomStream, SameKeyGivesSameNumbersOtherKeyOthers) {
  RandomStream first({1, 2}), again({1, 2}), other({1, 3});
  const std::uint64_t value = first.next();
  EXPECT_EQ(value, again.next());
  EXPECT_NE(value, other.next());
}

TEST(RandomStream, MomentsOfTheDistributions) {
  RandomStream random({7});
  const int count = 200000;
  double uniform = 0, normal = 0, normal_squared = 0, gamma = 0;
  for (int i = 0; i < count; ++i) {
    uniform += random.uniform();
    const double x = random.normal();
    normal += x;
    normal_squared += x * x;
    gamma += random.gamma(0.5);
  }
  EXPECT_NEAR(uniform / count, 0.5, 0.005);
  EXPECT_NEAR(normal / count, 0.0, 0.01);
  EXPECT_NEAR(normal_squared / count, 1.0, 0.02);
  EXPECT_NEAR(gamma / count, 0.5, 0.01);
}

TEST(RandomStream, ShuffleIsAPermutation) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  std::vector<int> shuffled = values;
  RandomStream({3}).shuffle(std::span<int>(shuffled));
  EXPECT_NE(shuffled, values);
  std::sort(shuffled.begin(), shuffled.end());
  EXPECT_EQ(shuffled, values);
}

}  // namespace
}  // namespace gem
