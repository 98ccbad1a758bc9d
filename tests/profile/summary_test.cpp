#include "profile/summary.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <sstream>

namespace gem {
namespace {

// Two devices; the second takes 1.25 as long where there is much compute and just as long where there is little.
LatencyProfile two_devices() {
  LatencyProfile profile;
  profile.devices = {{"simulated", "fast", "here", "", 0, 1.0}, {"simulated", "slow", "there", "", 1, 1.25}};
  profile.points = {{1, 1, 16}, {50, 4, 800}, {100, 4, 1600}};
  profile.median_s = Matrix<double>(2, 3);
  profile.samples_s = Cube<float>(2, 3, 3);
  profile.settled = Matrix<std::uint8_t>(2, 3, 1);
  profile.throttle_reasons = Matrix<std::uint64_t>(2, 3, 1);  // idle: not held down
  profile.settled(1, 0) = 0;
  profile.throttle_reasons(1, 2) = 0x20;
  profile.drift = {0.0, -0.01};
  for (std::size_t p = 0; p < 3; ++p)
    for (std::size_t d = 0; d < 2; ++d) {
      const double latency_s = 1e-5 * static_cast<double>(p + 1) * (d == 1 && p > 0 ? 1.25 : 1.0);
      profile.median_s(d, p) = latency_s;
      const float spread = d == 0 ? 0.02f : 0.0f;
      profile.samples_s(d, p, 0) = static_cast<float>(latency_s) * (1.0f - spread);
      profile.samples_s(d, p, 1) = static_cast<float>(latency_s);
      profile.samples_s(d, p, 2) = static_cast<float>(latency_s) * (1.0f + spread);
    }
  return profile;
}

TEST(Summary, ComparesDevicesOverHeavyLoads) {
  const std::vector<DeviceSummary> summaries = summarize(two_devices());
  EXPECT_NEAR(summaries[0].relative_speed, 1.0, 1e-12);
  EXPECT_NEAR(summaries[1].relative_speed, 0.8, 1e-12);
  EXPECT_NEAR(summaries[0].noise, 0.02, 1e-5);
  EXPECT_NEAR(summaries[1].noise, 0.0, 1e-6);
  EXPECT_EQ(summaries[0].unsettled, 0u);
  EXPECT_EQ(summaries[1].unsettled, 1u);
  EXPECT_EQ(summaries[0].throttled, 0u);
  EXPECT_EQ(summaries[1].throttled, 1u);
  EXPECT_EQ(summaries[1].drift, -0.01);
}

TEST(Summary, TheTableMarksTheSlowest) {
  const std::string table = device_table(two_devices());
  EXPECT_EQ(table.find("slowest"), table.rfind("slowest", table.find("spread") - 1));
  const std::size_t slow = table.find("\n1 ");
  ASSERT_NE(slow, std::string::npos) << table;
  EXPECT_EQ(table.find("slowest"), table.find('\n', slow + 1) - std::string("slowest").size()) << table;
  EXPECT_NE(table.find("\ndevice 1: slow on there\n"), std::string::npos) << table;
  EXPECT_NE(table.find("takes 25.0 % longer"), std::string::npos) << table;
}

TEST(Summary, SaysWhatUnsettledMeansAndKeepsTo80Columns) {
  LatencyProfile profile = two_devices();
  profile.device_kind = "host";
  for (DeviceDescription& device : profile.devices) device.name = "a processor core of some long name, or a longer one";
  profile.devices[1].hostname = "here";
  const std::string table = device_table(profile);
  EXPECT_NE(table.find("\nunsettled: "), std::string::npos) << table;
  EXPECT_NE(table.find("free the cores"), std::string::npos) << table;
  EXPECT_NE(table.find("\ndevices 0, 1: a processor"), std::string::npos) << table;
  std::istringstream lines(table);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  profile.settled(1, 0) = 1;
  EXPECT_EQ(device_table(profile).find("\nunsettled: "), std::string::npos);
}

TEST(Summary, SaysWhatExpertsAddBeside) {
  LatencyProfile profile = two_devices();
  EXPECT_EQ(device_table(profile).find("skew"), std::string::npos);
  profile.rule.row_s = 9e-9;
  EXPECT_NE(device_table(profile).find("\nskew: a row of a last tile costs 9 ns\n"), std::string::npos);
  profile.rule.bends = {{2, 8e-7}, {4, 2e-7}};
  EXPECT_NE(device_table(profile).find("costs 9 ns; an expert's tiles more beyond 2 (+800 ns), 4 (+200 ns)\n"),
            std::string::npos);
}

TEST(Summary, NamesTheSlowestPairs) {
  LatencyProfile profile = two_devices();
  EXPECT_EQ(device_table(profile).find("exchange"), std::string::npos);
  profile.exchange = {"nccl", Matrix<double>(3, 3, 1e-5), Matrix<double>(3, 3, 2e11)};
  profile.exchange.latency_s(0, 2) = profile.exchange.latency_s(2, 0) = 4e-5;
  profile.exchange.bytes_per_s(1, 2) = profile.exchange.bytes_per_s(2, 1) = 5e10;
  for (std::size_t d = 0; d < 3; ++d) profile.exchange.latency_s(d, d) = profile.exchange.bytes_per_s(d, d) = NAN;
  const std::string table = device_table(profile);
  EXPECT_NE(table.find("by nccl, both ways at once: 10 us, 200 GB/s each way"), std::string::npos) << table;
  EXPECT_NE(table.find("at worst: 40 us (devices 0 and 2), 50 GB/s (devices 1 and 2)"), std::string::npos) << table;
}

TEST(Summary, AThousandDevicesAreShortened) {
  LatencyProfile profile = two_devices();
  const LatencyProfile two = profile;
  profile.devices.assign(1000, two.devices[0]);
  profile.devices[500] = two.devices[1];
  profile.median_s = Matrix<double>(1000, 3);
  for (std::size_t d = 0; d < 1000; ++d)
    for (std::size_t p = 0; p < 3; ++p) profile.median_s(d, p) = two.median_s(d == 500 ? 1 : 0, p);
  profile.samples_s = {};
  profile.settled = Matrix<std::uint8_t>(1000, 3, 1);
  profile.throttle_reasons = Matrix<std::uint64_t>(1000, 3);
  profile.drift.assign(1000, 0.0);
  const std::string table = device_table(profile, 10);
  EXPECT_LT(std::count(table.begin(), table.end(), '\n'), 20);
  EXPECT_NE(table.find("990 devices"), std::string::npos);
  EXPECT_NE(table.find("there"), std::string::npos) << "the slowest is shown:\n" << table;
}

}  // namespace
}  // namespace gem
