#include "base/statistics.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.hpp"

namespace gem {
namespace {

TEST(Statistics, QuantilesInterpolate) {
  const std::vector<double> values{4, 1, 3, 2};
  EXPECT_DOUBLE_EQ(median(values), 2.5);
  EXPECT_DOUBLE_EQ(quantile(values, 0.0), 1.0);
  EXPECT_DOUBLE_EQ(quantile(values, 1.0), 4.0);
  EXPECT_TRUE(std::isnan(median({})));
}

TEST(Statistics, CorrelationOfLinesAndConstants) {
  const std::vector<double> up{1, 2, 3}, down{6, 4, 2}, flat{1, 1, 1};
  EXPECT_NEAR(correlation(up, down), -1.0, 1e-12);
  EXPECT_EQ(correlation(up, flat), 0.0);
}

TEST(Statistics, NormalQuantile) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963985, 1e-6);
  EXPECT_NEAR(normal_quantile(0.001), -3.090232306, 1e-6);
  EXPECT_EQ(normal_quantile(0.5), 0.0);
  EXPECT_NEAR(student_quantile(0.975, 1), 12.7062, 1e-3);
  EXPECT_NEAR(student_quantile(0.975, 2), 4.3027, 1e-3);
  EXPECT_NEAR(student_quantile(0.975, 3), 3.1824, 0.025);
  EXPECT_NEAR(student_quantile(0.975, 4), 2.7764, 0.01);
  EXPECT_NEAR(student_quantile(0.975, 9), 2.2622, 0.001);
}

TEST(Statistics, MedianIntervalCoversTheMedianAsOftenAsStated) {
  RandomStream random({11});
  int covered = 0;
  const int trials = 2000;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> values(31);
    for (double& value : values) value = random.normal();
    const Interval interval = median_interval(values);
    covered += interval.low <= 0.0 && 0.0 <= interval.high;
  }
  EXPECT_GE(covered, trials * 94 / 100);
}

TEST(Statistics, BootstrapRatioBracketsTheTruth) {
  RandomStream random({5});
  std::vector<double> top, bottom;
  for (int i = 0; i < 300; ++i) {
    bottom.push_back(1.0 + 0.1 * random.normal());
    top.push_back(0.9 * bottom.back() + 0.01 * random.normal());
  }
  const Interval interval = bootstrap_ratio(top, bottom, 1);
  EXPECT_LT(interval.low, 0.9);
  EXPECT_GT(interval.high, 0.9);
  EXPECT_LT(interval.high - interval.low, 0.01);
}

TEST(Statistics, WhatAMeanIsAbove) {
  const std::vector<double> values{1.0, 2.0, 3.0, 4.0};
  EXPECT_NEAR(mean_lower_bound(values, 0.95), 2.5 - 2.3534 * 1.29099 / 2.0, 0.02);
  EXPECT_LT(mean_lower_bound(values, 0.99), mean_lower_bound(values, 0.95));
  EXPECT_EQ(mean_lower_bound(std::vector<double>{1.0}, 0.95), -INFINITY);
}

}  // namespace
}  // namespace gem
