#include "adaptation/speed_estimate.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.hpp"

namespace gem {
namespace {

// Steps of 8 layers on 2 devices, the second so many times as slow as predicted; one layer in ten is disturbed.
void add_steps(SpeedEstimate& speeds, RandomStream& random, std::size_t steps, double slowdown) {
  for (std::size_t step = 0; step < steps; ++step) {
    Matrix<double> predicted(8, 2, 1e-4), measured = predicted;
    for (std::size_t layer = 0; layer < 8; ++layer)
      for (std::size_t device = 0; device < 2; ++device) {
        measured(layer, device) *= (device == 1 ? slowdown : 1.0) * std::exp(0.003 * random.normal());
        if (random.below(10) == 0) measured(layer, device) *= 3.0;
      }
    speeds.add(measured, predicted);
  }
}

TEST(SpeedEstimate, TellsASlowDeviceWithinAFewStepsAndForgetsIt) {
  SpeedEstimate speeds(2, 6);
  RandomStream random{1};
  EXPECT_EQ(speeds.slowdowns({1.0, 1.0}), (std::vector<double>{1.0, 1.0}));
  add_steps(speeds, random, 50, 1.0);
  EXPECT_FALSE(speeds.differs_from({1.0, 1.0}));
  add_steps(speeds, random, 6, 1.28);
  EXPECT_TRUE(speeds.differs_from({1.0, 1.0}));
  EXPECT_NEAR(speeds.slowdowns({1.0, 1.0})[0], 1.0, 0.005);
  EXPECT_NEAR(speeds.slowdowns({1.0, 1.0})[1], 1.28, 0.005);
  add_steps(speeds, random, 6, 1.0);
  EXPECT_NEAR(speeds.slowdowns({1.0, 1.0})[1], 1.0, 0.005);
}

// One layer and device, which takes these times of what was predicted.
SpeedEstimate after(const std::vector<double>& slowdowns) {
  SpeedEstimate speeds(1, 6);
  for (const double slowdown : slowdowns) speeds.add(Matrix<double>(1, 1, slowdown), Matrix<double>(1, 1, 1.0));
  return speeds;
}

TEST(SpeedEstimate, TheLessADeviceChangesTheMoreStepsItTakesToTell) {
  const std::vector<double> used{1.0};
  EXPECT_FALSE(after({1, 1, 1, 1, 1.3, 1.3}).differs_from(used));  // two steps may be one disturbance
  const SpeedEstimate large = after({1, 1, 1, 1.3, 1.28, 1.28});
  EXPECT_TRUE(large.differs_from(used));
  EXPECT_EQ(large.slowdowns(used), (std::vector<double>{1.28}));  // what was before says nothing of it
  EXPECT_FALSE(after({1, 1, 1, 1.3, 1.28, 1.0}).differs_from(used));
  EXPECT_FALSE(after({1, 1, 1, 1.018, 1.018, 1.018}).differs_from(used));
  EXPECT_TRUE(after({1, 1, 1.018, 1.018, 1.018, 1.018}).differs_from(used));
  EXPECT_FALSE(after({1, 1.011, 1.011, 1.011, 1.011, 1.011}).differs_from(used));
  EXPECT_TRUE(after({1.011, 1.011, 1.011, 1.011, 1.011, 1.011}).differs_from(used));
  EXPECT_TRUE(after({1, 1, 1, 0.7, 0.7, 0.7}).differs_from(used));
}

TEST(SpeedEstimate, NoiseIsNoChange) {
  SpeedEstimate speeds(2, 6);
  RandomStream random{2};
  std::size_t alarms = 0;
  for (std::size_t step = 0; step < 2000; ++step) {
    add_steps(speeds, random, 1, 1.0);
    alarms += speeds.differs_from({1.0, 1.0}) ? 1 : 0;
  }
  EXPECT_EQ(alarms, 0u);
}

TEST(SpeedEstimate, LayersWithoutWorkSayNothing) {
  SpeedEstimate speeds(1, 2);
  speeds.add(Matrix<double>(3, 1, 0.0), Matrix<double>(3, 1, 0.0));
  EXPECT_EQ(speeds.slowdowns({1.0}), (std::vector<double>{1.0}));
}

}  // namespace
}  // namespace gem
