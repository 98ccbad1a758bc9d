#include "interchange/serving_devices.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

Mapping on_two_hosts() {
  Mapping mapping;
  mapping.device_kind = "cuda";
  mapping.devices = {
      {"cuda", "X", "b", "GPU-0", 0, 1.0}, {"cuda", "X", "a", "GPU-1", 1, 1.0}, {"cuda", "X", "b", "GPU-2", 2, 1.0}};
  return mapping;
}

TEST(ServingDevices, LaunchesRanksOnTheirDevices) {
  const std::string text = launch_lines(on_two_hosts());
  EXPECT_NE(text.find("b: CUDA_VISIBLE_DEVICES=GPU-0,GPU-2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("rank 1=a slot=0\n    rank 2=b slot=1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("--nodelist=b,a"), std::string::npos) << text;
  EXPECT_EQ(text.find("WARNING"), std::string::npos) << text;
}

TEST(ServingDevices, SaysWhatWasEmulated) {
  Mapping mapping = on_two_hosts();
  mapping.devices[1].emulated_slowdown = 1.28;
  EXPECT_NE(launch_lines(mapping).find("WARNING: these devices were made uneven on purpose"), std::string::npos);
  mapping.devices[1].uuid = mapping.devices[0].uuid;  // shares of one GPU
  EXPECT_NE(launch_lines(mapping).find("no numbers"), std::string::npos);
  mapping.devices[1].uuid = "";
  EXPECT_NE(launch_lines(mapping).find("no numbers"), std::string::npos);
}

TEST(ServingDevices, ReadsTheListOfGpusAndWhatIsVisible) {
  const auto all = parse_gpu_list("GPU 0: H (UUID: GPU-aa)\n  MIG 1g (UUID: MIG-x)\nGPU 1: H2 (UUID: GPU-ab)\n");
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[1].uuid, "GPU-ab");
  EXPECT_EQ(all[1].name, "H2");
  EXPECT_EQ(visible_gpus(all, std::nullopt).size(), 2u);
  EXPECT_TRUE(visible_gpus(all, "").empty());
  EXPECT_EQ(visible_gpus(all, "1, 0")[0].uuid, "GPU-ab");
  EXPECT_EQ(visible_gpus(all, "GPU-ab")[0].uuid, "GPU-ab");
  EXPECT_EQ(visible_gpus(all, "0,7,1").size(), 1u);
  EXPECT_TRUE(visible_gpus(all, "-1").empty());
}

}  // namespace
}  // namespace gem
