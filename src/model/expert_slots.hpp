#pragma once

#include <algorithm>
#include <cstddef>

namespace gem {

// How engines deal experts out (and copies of experts, which always divide): as many to each device, and one more to
// each of the first where they don't divide. Slots are numbered device by device, so that slot e holds expert e in
// linear placement.

/// Slots of a device.
constexpr std::size_t slots_on(std::size_t device, std::size_t slot_count, std::size_t device_count) {
  return slot_count / device_count + (device < slot_count % device_count ? 1 : 0);
}

/// Slots of the first device, which has the most.
constexpr std::size_t max_slots(std::size_t slot_count, std::size_t device_count) {
  return (slot_count + device_count - 1) / device_count;
}

/// Slots of all devices before one.
constexpr std::size_t first_slot_on(std::size_t device, std::size_t slot_count, std::size_t device_count) {
  return device * (slot_count / device_count) + std::min(device, slot_count % device_count);
}

/// The device that has a slot.
constexpr std::size_t device_of_slot(std::size_t slot, std::size_t slot_count, std::size_t device_count) {
  const std::size_t fewest = slot_count / device_count, with_more = slot_count % device_count;
  const std::size_t of_those = with_more * (fewest + 1);
  return slot < of_those ? slot / (fewest + 1) : with_more + (slot - of_those) / fewest;
}

}  // namespace gem
