#include <gtest/gtest.h>

#include <fstream>

#include "base/error.hpp"
#include "device/device_factory.hpp"
#include "temporary_directory.hpp"

namespace gem {
namespace {

TEST(Slowdowns, AListIsTakenAsItIs) {
  EXPECT_TRUE(parse_slowdowns("", 4).empty());
  EXPECT_EQ(parse_slowdowns("1.0,1.28", 4), (std::vector<double>{1.0, 1.28}));
  EXPECT_THROW(parse_slowdowns("1,1,1", 2), UsageError);
  EXPECT_THROW(parse_slowdowns("1,2,3", 4), UsageError) << "the last device would be one of the first kind, unsaid";
  for (const char* text : {"0", "-1", "1,1e300"}) EXPECT_THROW(parse_slowdowns(text, 2), UsageError) << text;
}

TEST(Slowdowns, AFileIsScaledToItsFastest) {
  const test::TemporaryDirectory folder;
  const std::string path = folder / "slowdowns.csv";
  std::ofstream(path) << "# measured\ngpu,relative_runtime,runs\na,0.8,1\nb,1.0,1\nc,1.2,1\n";
  const std::vector<double> slowdowns = parse_slowdowns(path, 3);
  ASSERT_EQ(slowdowns.size(), 3u);
  EXPECT_DOUBLE_EQ(slowdowns[0], 1.0);
  EXPECT_DOUBLE_EQ(slowdowns[1], 1.25);
  EXPECT_DOUBLE_EQ(slowdowns[2], 1.5);
  EXPECT_THROW(parse_slowdowns("no_such_file.csv", 3), UsageError);
}

TEST(DeviceOptions, ContradictionsAreRefused) {
  DeviceOptions options;
  options.expert = {64, 32};
  EXPECT_NO_THROW(check_device_options(options));
  options.device_count = 4;
  EXPECT_THROW(check_device_options(options), UsageError);
  options.kind = "simulated";
  EXPECT_NO_THROW(check_device_options(options));
  options = {.kind = "tpu", .expert = {64, 32}};
  EXPECT_THROW(check_device_options(options), UsageError);
}

TEST(DeviceRange, EveryDeviceHasOneRank) {
  for (std::size_t devices : {1u, 3u, 8u, 1000u})
    for (std::size_t ranks : {1u, 2u, 3u, 7u}) {
      std::size_t next = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        const DeviceRange range = devices_of_rank(devices, ranks, rank);
        EXPECT_EQ(range.first, next);
        next += range.count;
      }
      EXPECT_EQ(next, devices);
    }
}

}  // namespace
}  // namespace gem
