#include "model/mapping.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"

namespace gem {
namespace {

Mapping two_devices(std::vector<std::int32_t> homes) {
  Mapping mapping;
  mapping.device_count = 2;
  mapping.layer_ids = {0};
  mapping.expert_to_device = Matrix<std::int32_t>(1, homes.size());
  mapping.expert_to_device.values() = homes;
  return mapping;
}

TEST(Mapping, SlotsListEachDevicesExperts) {
  const Cube<std::int32_t> slots = slots_of(two_devices({1, 0, 1, 0}));
  EXPECT_EQ(slots.values(), (std::vector<std::int32_t>{1, 3, 0, 2}));
}

TEST(Mapping, UnequalOrForeignHomesAreRefused) {
  EXPECT_NO_THROW(check_mapping(two_devices({1, 0, 1, 0}), "m.h5"));
  EXPECT_THROW(check_mapping(two_devices({0, 0, 1, 0}), "m.h5"), DataError);
  EXPECT_THROW(check_mapping(two_devices({0, 2, 1, 0}), "m.h5"), DataError);
  EXPECT_THROW(check_mapping(two_devices({0, -1, 1, 0}), "m.h5"), DataError);
}

TEST(Mapping, DivisibilityNamesTheRemedy) {
  EXPECT_NO_THROW(check_divisible(32, 8));
  EXPECT_THROW(check_divisible(4, 8), UsageError);
  try {
    check_divisible(32, 5);
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("1, 2, 4, 8, 16, 32"), std::string::npos);
  }
}

}  // namespace
}  // namespace gem
