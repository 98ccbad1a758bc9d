#include "device/device_factory.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/error.hpp"

namespace gem {
namespace {

TEST(DeviceFactory, DealsSimulatedDevicesToRanks) {
  const Communicator world = Communicator::world();
  DeviceOptions options{.kind = "simulated", .device_count = 6, .expert = {64, 32}, .slowdowns = {1.0, 1.5, 2.0}};
  const auto devices = make_devices(options, world);
  std::vector<double> slowdowns;
  for (const auto& device : devices) {
    EXPECT_EQ(device->description().rank, world.rank());
    slowdowns.push_back(device->description().emulated_slowdown);
  }
  const std::vector<double> all = world.gather(std::span<const double>(slowdowns));
  if (world.is_root()) {
    EXPECT_EQ(all, (std::vector<double>{1.0, 1.5, 2.0, 1.0, 1.5, 2.0}));
  }
}

TEST(DeviceFactory, GivesEachRankItsHostDevice) {
  const Communicator world = Communicator::world();
  const DeviceOptions options{
      .kind = "host", .expert = {64, 32}, .weight_type = WeightType::F32, .slowdowns = {1.0, 1.28}};
  const auto devices = make_devices(options, world);
  ASSERT_EQ(devices.size(), 1u);
  const DeviceDescription description = devices[0]->description();
  EXPECT_EQ(description.kind, "host");
  EXPECT_EQ(description.rank, world.rank());
  EXPECT_EQ(description.emulated_slowdown, world.rank() % 2 == 0 ? 1.0 : 1.28);
}

TEST(DeviceFactory, ASimulatedDeviceStreamsHalfTheBytesInFp8) {
  const Communicator world = Communicator::world();
  DeviceOptions options{.kind = "simulated", .expert = {4096, 4096}};
  options.simulation.noise = options.simulation.outlier_probability = 0.0;
  const auto streaming_s = [&](WeightType type) {
    options.weight_type = type;
    const auto devices = make_devices(options, world);
    devices[0]->place_experts(0, std::vector<ExpertId>(8));
    return devices[0]->time_layer(0, std::vector<std::uint32_t>(8, 1)) - options.simulation.launch_s;
  };
  EXPECT_NEAR(streaming_s(WeightType::Fp8) / streaming_s(WeightType::Bf16), 0.5, 1e-6);
  EXPECT_NEAR(streaming_s(WeightType::F32) / streaming_s(WeightType::Bf16), 2.0, 1e-6);
}

TEST(DeviceFactory, AHostDeviceRefusesFp8) {
  EXPECT_THROW(check_device_options({.kind = "host", .expert = {256, 128}, .weight_type = WeightType::Fp8}),
               UsageError);
  check_device_options({.kind = "simulated", .expert = {256, 128}, .weight_type = WeightType::Fp8});
}

}  // namespace
}  // namespace gem
