#include "model/profile_progress.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace gem {
namespace {

LatencyProfile plan_of_three_points(std::size_t devices) {
  LatencyProfile plan;
  plan.points = {{1, 1, 16}, {2, 1, 32}, {4, 2, 64}};
  plan.devices.resize(devices);
  return plan;
}

TEST(ProfileProgress, NothingOfAPlanIsMeasured) {
  const LatencyProfile profile = unmeasured(plan_of_three_points(2));
  EXPECT_EQ(load_count(profile), 3u);
  EXPECT_EQ(measured_count(profile), 0u);
  EXPECT_TRUE(std::isnan(profile.median_s(1, 2)));
}

TEST(ProfileProgress, APointIsMeasuredOnceEveryDeviceHasIt) {
  constexpr std::size_t devices = 3, point = 1;
  for (std::size_t missing = 0; missing < devices; ++missing) {
    LatencyProfile profile = unmeasured(plan_of_three_points(devices));
    for (std::size_t d = 0; d < devices; ++d)
      if (d != missing) profile.median_s(d, point) = 1e-5;
    EXPECT_FALSE(is_measured(profile, point)) << "without device " << missing;
    EXPECT_EQ(measured_count(profile), 0u);
    profile.median_s(missing, point) = 1e-5;
    EXPECT_TRUE(is_measured(profile, point));
    EXPECT_EQ(measured_count(profile), 1u);
  }
}

TEST(ProfileProgress, AnotherPlanIsToldByWhatDiffers) {
  const LatencyProfile plan = plan_of_three_points(2);
  EXPECT_EQ(plan_difference(unmeasured(plan), plan), "");
  LatencyProfile other = plan;
  other.tile_tokens = plan.tile_tokens + 16;
  EXPECT_NE(plan_difference(unmeasured(other), plan).find("tile_tokens"), std::string::npos);
}

}  // namespace
}  // namespace gem
