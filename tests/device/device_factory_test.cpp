#include "device/device_factory.hpp"

#include <gtest/gtest.h>

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
  const DeviceOptions options{.kind = "host", .expert = {64, 32}, .weight_dtype = "f32", .slowdowns = {1.0, 1.28}};
  const auto devices = make_devices(options, world);
  ASSERT_EQ(devices.size(), 1u);
  const DeviceDescription description = devices[0]->description();
  EXPECT_EQ(description.kind, "host");
  EXPECT_EQ(description.rank, world.rank());
  EXPECT_EQ(description.emulated_slowdown, world.rank() % 2 == 0 ? 1.0 : 1.28);
}

}  // namespace
}  // namespace gem
