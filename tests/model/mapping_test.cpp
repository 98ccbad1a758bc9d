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

TEST(Mapping, OfExpertsThatDoNotDivideTheFirstDevicesHoldOneMore) {
  const Mapping uneven = two_devices({1, 0, 0});
  EXPECT_NO_THROW(check_mapping(uneven, "m.h5"));
  EXPECT_EQ(uneven.slots_per_device(), 2u);
  EXPECT_EQ(slots_of(uneven).values(), (std::vector<std::int32_t>{1, 2, 0, -1}));
  Mapping again = uneven;
  take_slots(again, slots_of(uneven));
  EXPECT_EQ(again.redundant_count(), 0u);
  EXPECT_THROW(check_mapping(two_devices({1, 1, 0}), "m.h5"), DataError);
  EXPECT_THROW(check_mapping(two_devices({0, 0, 0}), "m.h5"), DataError);
  Mapping copies = uneven;  // 3 experts and 2 copies: 5 slots on 2 devices
  copies.redundant = Matrix<RedundantCopy>(1, 2);
  copies.redundant.values() = {{0, 0}, {1, 1}};
  EXPECT_THROW(check_mapping(copies, "m.h5"), DataError);
}

// Layers of 4 and 3 experts on two devices.
Mapping layers_of_four_and_three() {
  Mapping mapping = two_devices({});
  mapping.layer_ids = {0, 1};
  mapping.experts_of_layer = {4, 3};
  mapping.expert_to_device = Matrix<std::int32_t>(2, 4);
  mapping.expert_to_device.values() = {1, 0, 1, 0, 0, 1, 0, -1};
  return mapping;
}

TEST(Mapping, OfLayersOfDifferentExpertCountsEachHoldsItsOwnAlone) {
  const Mapping mapping = layers_of_four_and_three();
  EXPECT_NO_THROW(check_mapping(mapping, "m.h5"));
  EXPECT_EQ(slots_of(mapping).values(), (std::vector<std::int32_t>{1, 3, 0, 2, 0, 2, 1, -1}));
  Mapping again = mapping;
  again.device_count = 0;
  take_slots(again, slots_of(mapping));
  EXPECT_EQ(again.device_count, 2u);
  EXPECT_EQ(again.redundant_count(), 0u);

  Mapping foreign = mapping;
  foreign.expert_to_device(1, 3) = 1;  // a home of what is no expert
  EXPECT_THROW(check_mapping(foreign, "m.h5"), DataError);
  foreign = mapping;
  foreign.expert_to_device(1, 2) = 1;  // the second device would hold more than the first
  EXPECT_THROW(check_mapping(foreign, "m.h5"), DataError);
  Cube<std::int32_t> slots = slots_of(mapping);
  slots(1, 1, 1) = 3;
  EXPECT_THROW(take_slots(foreign, slots), DataError);
  foreign = mapping;
  foreign.experts_of_layer.clear();
  EXPECT_THROW(check_mapping(foreign, "m.h5"), DataError);
}

TEST(Mapping, EachDeviceCanHaveAnExpert) {
  EXPECT_NO_THROW(check_device_count(32, 8));
  EXPECT_NO_THROW(check_device_count(32, 5));
  EXPECT_THROW(check_device_count(4, 8), UsageError);
  EXPECT_THROW(check_device_count(4, 0), UsageError);
}

TEST(ExpertSlots, AreNumberedDeviceByDevice) {
  for (const std::size_t devices : {1, 3, 7, 8})
    for (std::size_t slots = devices; slots < 30; ++slots) {
      std::size_t next = 0;
      for (std::size_t device = 0; device < devices; ++device) {
        EXPECT_EQ(first_slot_on(device, slots, devices), next);
        EXPECT_LE(slots_on(device, slots, devices), max_slots(slots, devices));
        EXPECT_GE(slots_on(device, slots, devices) + 1, max_slots(slots, devices));
        for (std::size_t end = next + slots_on(device, slots, devices); next < end; ++next)
          EXPECT_EQ(device_of_slot(next, slots, devices), device);
      }
      EXPECT_EQ(next, slots);
    }
}

}  // namespace
}  // namespace gem
