#include "model/profile_doubts.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.hpp"

namespace gem {
namespace {

using Kind = ProfileDoubt::Kind;

/// Four devices that differ by 10 % in the whole and vary by about 0.3 %.
LatencyProfile good_profile() {
  LatencyProfile profile;
  for (std::int64_t active = 1; active <= 4; ++active)
    for (std::int64_t tiles = active; tiles <= 32; tiles *= 2) profile.points.push_back({tiles, active, tiles * 16});
  const std::size_t devices = 4, points = profile.points.size(), samples = 20;
  profile.devices.resize(devices);
  profile.median_s = Matrix<double>(devices, points);
  profile.samples_s = Cube<float>(devices, points, samples);
  profile.settled = Matrix<std::uint8_t>(devices, points, 1);
  profile.throttle_reasons = Matrix<std::uint64_t>(devices, points, 0);
  profile.drift = {0.001, -0.002, 0.0, 0.004};
  RandomStream random{1, 2};
  for (std::size_t d = 0; d < devices; ++d)
    for (std::size_t p = 0; p < points; ++p) {
      profile.median_s(d, p) =
          (10e-6 + 1e-6 * static_cast<double>(profile.points[p].tiles)) * (1.0 + 0.1 * static_cast<double>(d) / 3.0);
      for (float& sample : profile.samples_s.row(d, p))
        sample = static_cast<float>(profile.median_s(d, p) * (1.0 + 0.01 * (random.uniform() - 0.5)));
    }
  return profile;
}

std::vector<Kind> kinds_of(const LatencyProfile& profile) {
  std::vector<Kind> kinds;
  for (const ProfileDoubt& doubt : doubts_of(profile)) kinds.push_back(doubt.kind);
  return kinds;
}

TEST(ProfileDoubts, AGoodProfileHasNone) {
  EXPECT_EQ(kinds_of(good_profile()), std::vector<Kind>{});
  EXPECT_EQ(warning_lines(doubts_of(good_profile())), "");
}

TEST(ProfileDoubts, ManyUnsettledPoints) {
  LatencyProfile profile = good_profile();
  for (std::size_t p = 0; p < profile.points.size() / 8; ++p) profile.settled(0, p) = 0;
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{}) << "a few are no matter";
  profile.settled = Matrix<std::uint8_t>(4, profile.points.size(), 0);
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{Kind::Unsettled});
}

TEST(ProfileDoubts, DriftBeyondTheNoise) {
  LatencyProfile profile = good_profile();
  profile.drift[2] = 0.2;
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{Kind::Drift});
  EXPECT_NE(join_doubts(doubts_of(profile)).find("1 of 4 devices"), std::string::npos);
  EXPECT_NE(join_doubts(doubts_of(profile)).find("+20.0 %"), std::string::npos);
}

TEST(ProfileDoubts, LatencyThatFallsWithLoad) {
  LatencyProfile profile = good_profile();
  for (std::size_t d = 0; d < 4; ++d)
    for (std::size_t p = 0; p < profile.points.size(); ++p)
      if (profile.points[p].tiles == 16) profile.median_s(d, p) *= 3.0;
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{Kind::FallsWithLoad});
}

TEST(ProfileDoubts, ClocksHeldDownAtSomeLoadsOnly) {
  LatencyProfile profile = good_profile();
  constexpr std::uint64_t power_cap = 4;
  for (std::size_t p = 0; p < profile.points.size(); ++p) profile.throttle_reasons(1, p) = power_cap;
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{}) << "always held down is as in serving";
  for (std::size_t p = 0; p < profile.points.size(); p += 2) profile.throttle_reasons(1, p) = 0;
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{Kind::Throttling});
}

TEST(ProfileDoubts, DevicesThatDifferByLessThanTheirNoise) {
  LatencyProfile profile = good_profile();
  for (std::size_t d = 1; d < 4; ++d) {
    std::ranges::copy(profile.median_s.row(0), profile.median_s.row(d).begin());
    for (double& median : profile.median_s.row(d)) median *= 1.0 + 1e-4 * static_cast<double>(d);
    for (std::size_t p = 0; p < profile.points.size(); ++p)
      std::ranges::copy(profile.samples_s.row(0, p), profile.samples_s.row(d, p).begin());
  }
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{Kind::NotDistinguishable});
  EXPECT_NE(warning_lines(doubts_of(profile)).find("chases noise"), std::string::npos);
}

TEST(ProfileDoubts, ProfilesWithoutSamplesAndTelemetryAreJudgedByWhatTheyHave) {
  LatencyProfile profile = good_profile();
  profile.samples_s = {};
  profile.settled = {};
  profile.throttle_reasons = {};
  profile.drift = {};
  EXPECT_EQ(kinds_of(profile), std::vector<Kind>{});
  EXPECT_EQ(kinds_of(LatencyProfile{}), std::vector<Kind>{});
}

TEST(Throttling, AtThePaceOfServingIsAClockBelowIt) {
  LatencyProfile profile = good_profile();
  profile.throttle_reasons = Matrix<std::uint64_t>(4, profile.points.size(), 0x4);
  EXPECT_EQ(summarize(profile)[1].throttled, profile.points.size()) << "at the power limit all the time";
  profile.pace = "serving";
  profile.serving_clock_hz.assign(4, 1.9e9);
  profile.sm_clock_hz = Matrix<double>(4, profile.points.size(), 1.89e9);
  EXPECT_EQ(summarize(profile)[1].throttled, 0u) << "as when serving";
  profile.sm_clock_hz(1, 2) = 1.7e9;
  EXPECT_EQ(summarize(profile)[1].throttled, 1u);
  profile.serving_clock_hz[1] = NAN;
  EXPECT_EQ(summarize(profile)[1].throttled, profile.points.size()) << "unknown clocks: what the GPU says";
}

}  // namespace
}  // namespace gem
