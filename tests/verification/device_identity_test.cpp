#include "verification/device_identity.hpp"

#include <gtest/gtest.h>

#include <utility>

namespace gem {
namespace {

LatencyProfile two_gpus() {
  LatencyProfile profile;
  profile.device_kind = "cuda";
  profile.devices = {{"cuda", "H100", "node1", "GPU-a", 0, 1.0}, {"cuda", "H100", "node1", "GPU-b", 1, 1.0}};
  return profile;
}

TEST(DeviceIdentity, TheSameDevicesDoNotDiffer) {
  EXPECT_EQ(device_difference(two_gpus(), two_gpus().devices), "");
}

TEST(DeviceIdentity, TheFirstOtherDeviceIsNamed) {
  auto running = two_gpus().devices;
  running[1].hostname = "node2";
  running[1].uuid = "GPU-c";
  EXPECT_EQ(device_difference(two_gpus(), running),
            "device 1 was cuda device 'H100' (GPU-b) on node1, but is cuda device 'H100' (GPU-c) on node2");
}

TEST(DeviceIdentity, AnotherOrderOrSlowdownDiffers) {
  auto running = two_gpus().devices;
  std::swap(running[0], running[1]);
  EXPECT_NE(device_difference(two_gpus(), running).find("device 0 was cuda device 'H100' (GPU-a)"), std::string::npos);
  running = two_gpus().devices;
  running[1].emulated_slowdown = 1.28;
  const std::string difference = device_difference(two_gpus(), running);
  EXPECT_NE(difference.find("slowed down by 1, but"), std::string::npos) << difference;
  EXPECT_NE(difference.find("slowed down by 1.28"), std::string::npos) << difference;
}

TEST(DeviceIdentity, WhatIsNotRecordedIsNotCompared) {
  LatencyProfile profile = two_gpus();
  profile.device_kind.clear();
  for (DeviceDescription& device : profile.devices) device = {"", "", "", "", device.rank, 1.0};
  EXPECT_EQ(device_difference(profile, two_gpus().devices), "");
}

TEST(DeviceIdentity, SimulatedDevicesAreTheSameEverywhere) {
  LatencyProfile profile = two_gpus();
  profile.device_kind = "simulated";
  auto running = profile.devices;
  running[0].hostname = "elsewhere";
  EXPECT_EQ(device_difference(profile, running), "");
}

TEST(DeviceIdentity, OfTheDevicesThatAMappingWasMadeFor) {
  Mapping mapping;
  EXPECT_EQ(device_difference(mapping, two_gpus().devices), "") << "it doesn't say which";
  mapping.device_kind = "cuda";
  mapping.devices = two_gpus().devices;
  EXPECT_EQ(device_difference(mapping, two_gpus().devices), "");
  std::vector<DeviceDescription> running = two_gpus().devices;
  std::swap(running[0], running[1]);
  EXPECT_NE(device_difference(mapping, running).find("device 0 was cuda device"), std::string::npos);
}

}  // namespace
}  // namespace gem
