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
  EXPECT_EQ(speeds.slowdowns(), (std::vector<double>{1.0, 1.0}));
  add_steps(speeds, random, 50, 1.0);
  EXPECT_FALSE(speeds.differs_from({1.0, 1.0}));
  add_steps(speeds, random, 6, 1.28);
  EXPECT_TRUE(speeds.differs_from({1.0, 1.0}));
  EXPECT_NEAR(speeds.slowdowns()[0], 1.0, 0.005);
  EXPECT_NEAR(speeds.slowdowns()[1], 1.28, 0.005);
  add_steps(speeds, random, 6, 1.0);
  EXPECT_NEAR(speeds.slowdowns()[1], 1.0, 0.005);
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
  EXPECT_EQ(speeds.slowdowns(), (std::vector<double>{1.0}));
}

}  // namespace
}  // namespace gem
