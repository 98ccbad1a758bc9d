#include "model/shared_time.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

LatencyProfile two_devices() {
  LatencyProfile profile;
  profile.devices.resize(2);
  profile.shared_tokens = {32, 128, 2048};
  profile.shared_s = Matrix<double>(2, 3);
  profile.shared_s.values() = {20e-6, 22e-6, 118e-6, 24e-6, 28e-6, 152e-6};
  return profile;
}

TEST(SharedTime, IsInProportionBetweenWhatWasMeasured) {
  const LatencyProfile profile = two_devices();
  const auto expect = [&](double tokens, double first_us, double second_us) {
    const std::vector<double> seconds = shared_times_s(profile, tokens);
    ASSERT_EQ(seconds.size(), 2u);
    EXPECT_NEAR(seconds[0], first_us * 1e-6, 1e-12) << tokens;
    EXPECT_NEAR(seconds[1], second_us * 1e-6, 1e-12) << tokens;
  };
  expect(1, 20, 24);
  expect(32, 20, 24);
  expect(80, 21, 26);
  expect(128, 22, 28);
  expect(1088, 70, 90);
  expect(2048, 118, 152);
  expect(3968, 214, 276);
}

TEST(SharedTime, IsThatOfTheOnlyMeasurementOrNone) {
  LatencyProfile profile = two_devices();
  profile.shared_tokens = {32};
  profile.shared_s = Matrix<double>(2, 1, 20e-6);
  EXPECT_EQ(shared_times_s(profile, 4096), (std::vector<double>{20e-6, 20e-6}));
  profile.shared_tokens.clear();
  EXPECT_EQ(shared_times_s(profile, 4096), (std::vector<double>{0.0, 0.0}));
  EXPECT_EQ(shared_time_table(profile), "");
}

TEST(SharedTime, TheTableSaysFastestAndSlowest) {
  const std::string table = shared_time_table(two_devices());
  EXPECT_NE(table.find("118.0"), std::string::npos) << table;
  EXPECT_NE(table.find("152.0"), std::string::npos) << table;
}

}  // namespace
}  // namespace gem
