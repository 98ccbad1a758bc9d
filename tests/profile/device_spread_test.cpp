#include "profile/device_spread.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.hpp"
#include "base/random.hpp"

namespace gem {
namespace {

// Passes over three loads by devices of these relative times, with noise; `moment` is one more factor in the second
// half.
Matrix<double> passes_of(const std::vector<double>& times, const std::vector<double>& moment, double noise,
                         std::uint64_t seed) {
  constexpr std::size_t passes = 24, loads = 3;
  RandomStream random{seed};
  Matrix<double> seconds(times.size(), passes * loads);
  for (std::size_t i = 0; i < passes * loads; ++i)
    for (std::size_t d = 0; d < times.size(); ++d)
      seconds(d, i) = 1e-4 * static_cast<double>(1 + i % loads) * times[d] *
                      (i >= passes * loads / 2 ? moment[d] : 1.0) * std::exp(noise * random.normal());
  return seconds;
}

std::vector<DeviceDescription> four_devices() {
  std::vector<DeviceDescription> devices(4);
  for (std::size_t d = 0; d < 4; ++d)
    devices[d] = {"cuda", "GPU", d < 2 ? "one" : "two", "", static_cast<std::int32_t>(d), 1.0};
  return devices;
}

TEST(DeviceSpread, UnequalDevicesAreToldApartByHowMuch) {
  const std::vector<double> times{1.0, 1.02, 1.05, 1.03}, same(4, 1.0);
  const DeviceSpread spread = judge_spread(speed_blocks(passes_of(times, same, 0.005, 1), 3));
  EXPECT_TRUE(spread.is_distinguishable());
  EXPECT_TRUE(spread.is_repeatable());
  EXPECT_NEAR(spread.spread, 0.05, 0.003);
  EXPECT_LT(spread.interval.low, spread.spread);
  EXPECT_GT(spread.interval.high, spread.spread);
  EXPECT_NEAR(spread.behind[3], 0.03, 0.003);
  EXPECT_GT(spread.agreement, 0.9);
}

TEST(DeviceSpread, EqualDevicesAreToldApartInOneOfTwenty) {
  int told_apart = 0;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    const DeviceSpread spread =
        judge_spread(speed_blocks(passes_of({1.0, 1.0, 1.0}, {1.0, 1.0, 1.0}, 0.01, seed), 3), seed);
    told_apart += spread.is_distinguishable();
  }
  EXPECT_LE(told_apart, 20);
}

TEST(DeviceSpread, WhatTurnsRoundIsNotRepeatable) {
  const std::vector<double> turned{1.0, 1.03 / 1.01, 1.01 / 1.06, 1.05 / 1.02};
  const DeviceSpread spread = judge_spread(speed_blocks(passes_of({1.0, 1.01, 1.06, 1.02}, turned, 0.001, 5), 3));
  EXPECT_TRUE(spread.is_distinguishable());
  EXPECT_FALSE(spread.is_repeatable());
  EXPECT_NE(spread_text(spread, four_devices()).find("NOT REPEATABLE"), std::string::npos);
}

TEST(DeviceSpread, WhatSpeedsAloneCanBringAtMost) {
  // Equal loads end after 2; loads of 2/3 and 1/3 of the whole end after 4/3.
  const DeviceSpread spread = judge_spread(speed_blocks(passes_of({1.0, 2.0}, {1.0, 1.0}, 0.0, 1), 3));
  EXPECT_NEAR(spread.most_gain, 1.0 / 3.0, 1e-12);
  EXPECT_NEAR(spread.spread, 1.0, 1e-12);
}

TEST(DeviceSpread, TheTextHasNodesSlotsAndAVerdictWithinEightyColumns) {
  const std::string text =
      spread_text(judge_spread(speed_blocks(passes_of({1.0, 1.02, 1.05, 1.03}, {1.0, 1.0, 1.0, 1.0}, 0.005, 1), 3)),
                  four_devices());
  EXPECT_NE(text.find("VERDICT: DISTINGUISHABLE"), std::string::npos) << text;
  EXPECT_NE(text.find("node"), std::string::npos);
  EXPECT_NE(text.find("At most"), std::string::npos);
  for (std::size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1)
    EXPECT_LE(end - begin, 80u) << text.substr(begin, end - begin);
}

// Two devices and many heavy points; the second device takes `ratio` times as long.
LatencyProfile profile_of(double ratio) {
  LatencyProfile profile;
  profile.model = "m";
  profile.devices = {{"cuda", "GPU", "here", "GPU-1", 0, 1.0}, {"cuda", "GPU", "here", "GPU-2", 1, 1.0}};
  profile.median_s = Matrix<double>(2, 20);
  for (std::size_t p = 0; p < 20; ++p) {
    profile.points.push_back({static_cast<std::int64_t>(60 + p), 4, static_cast<std::int64_t>(16 * (60 + p))});
    profile.median_s(0, p) = 1e-4;
    profile.median_s(1, p) = 1e-4 * ratio * (p % 2 == 0 ? 1.001 : 0.999);
  }
  return profile;
}

TEST(DeviceSpread, ProfilesAreRepetitions) {
  const std::vector<LatencyProfile> profiles{profile_of(1.05), profile_of(1.04)};
  const std::vector<std::string> names{"a.h5", "b.h5"};
  const DeviceSpread both = judge_spread(speed_blocks(profiles, names));
  EXPECT_TRUE(both.is_repeatable());
  EXPECT_NEAR(both.behind_first[1], 0.05, 1e-3);
  EXPECT_NEAR(both.behind_again[1], 0.04, 1e-3);
  const DeviceSpread one = judge_spread(speed_blocks(std::span(profiles).first(1), names));
  EXPECT_TRUE(one.is_distinguishable());
  EXPECT_FALSE(one.is_repeatable());
  EXPECT_NE(spread_text(one, profiles[0].devices).find("second measurement"), std::string::npos);
}

TEST(DeviceSpread, OtherDevicesPointsOrPaceAreRefused) {
  std::vector<LatencyProfile> profiles{profile_of(1.05), profile_of(1.04)};
  const std::vector<std::string> names{"a.h5", "b.h5"};
  profiles[1].devices[1].uuid = "GPU-3";
  EXPECT_THROW(speed_blocks(profiles, names), DataError);
  profiles[1] = profile_of(1.04);
  profiles[1].points[0].tiles = 7;
  EXPECT_THROW(speed_blocks(profiles, names), DataError);
  profiles[1] = profile_of(1.04);
  profiles[1].pace = "serving";
  EXPECT_THROW(speed_blocks(profiles, names), DataError);
}

TEST(DeviceSpread, TooLittleIsRefused) {
  EXPECT_THROW(judge_spread(speed_blocks(passes_of({1.0}, {1.0}, 0.0, 1), 3)), UsageError);
  SpeedBlocks few{Matrix<double>(2, 2), {0, 1}};
  EXPECT_THROW(judge_spread(few), UsageError);
}

}  // namespace
}  // namespace gem
