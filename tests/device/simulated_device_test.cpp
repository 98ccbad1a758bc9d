#include "device/simulated/simulated_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "device/device_kind.hpp"

namespace gem {
namespace {

SimulatedDeviceOptions options_of(double slowdown = 1.0) {
  SimulatedDeviceOptions options;
  options.expert = {2048, 1408};
  options.slowdown = slowdown;
  return options;
}

SimulatedDevice placed(const SimulatedDeviceOptions& options, std::size_t slots = 8) {
  SimulatedDevice device(options);
  device.place_experts(0, std::vector<ExpertId>(slots));
  return device;
}

std::vector<double> latencies(SimulatedDevice& device, std::uint64_t measurement, std::size_t count) {
  device.begin_measurement(measurement);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) values.push_back(device.time_layer(0, std::vector<std::uint32_t>(8, 100)));
  return values;
}

TEST(SimulatedDevice, TheFormula) {
  SimulatedDeviceOptions options = options_of(1.5);
  options.expert = {1024, 512};
  options.model = {.launch_s = 1e-6,
                   .multiprocessors = 10,
                   .block_columns = 128,
                   .flops_per_s = 1e12,
                   .weight_bytes_per_s = 1e12,
                   .noise = 0.0,
                   .outlier_probability = 0.0};
  const SimulatedDevice device(options);
  // Gate and up: 8 blocks a tile, 2 * 16 * 128 * 1024 operations each; down: 8 blocks of half the depth.
  const double wave_s = 10.0 * 2.0 * 16.0 * 128.0 * 1024.0 / 1e12;
  const double expert_s = 3.0 * 1024.0 * 512.0 * 2.0 / 1e12;
  EXPECT_DOUBLE_EQ(device.noiseless_s(1, 1), 1e-6 + 1.5 * (wave_s + wave_s / 2));
  EXPECT_DOUBLE_EQ(device.noiseless_s(10, 1), 1e-6 + 1.5 * 8.0 * (wave_s + wave_s / 2)) << "80 blocks in 8 waves";
  EXPECT_DOUBLE_EQ(device.noiseless_s(50, 50), 1e-6 + std::max(1.5 * 40.0 * (wave_s + wave_s / 2), 50.0 * expert_s));
  EXPECT_EQ(device.noiseless_s(0, 0), 0.0);
}

TEST(SimulatedDevice, TilesOfFewTokensAreBoundByReadingTheirWeights) {
  SimulatedDeviceOptions options = options_of();
  const double few = SimulatedDevice(options).noiseless_s(1000, 8);
  options.model.l2_bytes_per_s /= 2.0;
  const double slower_cache = SimulatedDevice(options).noiseless_s(1000, 8);
  EXPECT_NEAR((slower_cache - options.model.launch_s) / (few - options.model.launch_s), 2.0, 1e-9);
}

TEST(SimulatedDevice, ASlowdownActsOnComputeAlone) {
  const SimulatedDevice fast(options_of()), slow(options_of(1.28));
  const double launch_s = SimulationModel{}.launch_s;
  EXPECT_EQ(fast.noiseless_s(8, 8), slow.noiseless_s(8, 8)) << "bound by streaming weights";
  EXPECT_NEAR((slow.noiseless_s(2000, 8) - launch_s) / (fast.noiseless_s(2000, 8) - launch_s), 1.28, 1e-12);
}

TEST(SimulatedDevice, ATileIsTheUnit) {
  SimulatedDeviceOptions options = options_of();
  options.model.noise = options.model.outlier_probability = 0.0;
  SimulatedDevice device = placed(options, 2);
  const double one = device.time_layer(0, std::vector<std::uint32_t>{1, 0});
  EXPECT_EQ(device.time_layer(0, std::vector<std::uint32_t>{16, 0}), one);
  EXPECT_LT(one, device.time_layer(0, std::vector<std::uint32_t>{128, 128})) << "tiles beyond the first wave";
}

TEST(SimulatedDevice, NoiseIsAFunctionOfSeedDeviceAndMeasurement) {
  SimulatedDevice first = placed(options_of()), second = placed(options_of());
  const std::vector<double> values = latencies(first, 3, 20);
  latencies(second, 1, 5);  // what was measured before doesn't matter
  EXPECT_EQ(latencies(second, 3, 20), values);
  EXPECT_NE(latencies(second, 4, 20), values);
  SimulatedDeviceOptions other = options_of();
  other.device = 1;
  SimulatedDevice third = placed(other);
  EXPECT_NE(latencies(third, 3, 20), values);
}

TEST(SimulatedDevice, NoiseIsOfTheStatedSize) {
  SimulatedDeviceOptions options = options_of();
  options.model.noise = 0.01;
  options.model.outlier_probability = 0.05;
  SimulatedDevice device = placed(options);
  std::vector<double> values = latencies(device, 0, 4000);
  const double center = device.noiseless_s(8 * 7, 8);
  EXPECT_NEAR(median(values) / center, 1.0, 0.002);
  std::size_t outliers = 0;
  for (double value : values) outliers += value > 1.25 * center ? 1 : 0;
  EXPECT_NEAR(static_cast<double>(outliers) / 4000.0, 0.05, 0.015);
}

TEST(SimulatedDevice, ComputesNothing) {
  SimulatedDevice device = placed(options_of());
  EXPECT_TRUE(device.kind().is_virtual());
  EXPECT_FALSE(device.kind().has_outputs);
  std::vector<float> output(2048, 5.0f);
  EXPECT_GT(device.compute(0, std::vector<std::uint32_t>{1, 0, 0, 0, 0, 0, 0, 0}, output, output), 0.0);
  EXPECT_EQ(output, std::vector<float>(2048, 5.0f));
  EXPECT_THROW(device.time_layer(0, std::vector<std::uint32_t>{1}), DataError);
  EXPECT_THROW(SimulatedDevice(options_of(0.0)), UsageError);
}

}  // namespace
}  // namespace gem
