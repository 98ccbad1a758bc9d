#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "model/mapping.hpp"

namespace gem {

/// A placement the way engines write it: slots (physical experts) numbered device by device, each with the expert
/// (logical expert) that it holds. Which device owns a slot is in model/expert_slots.hpp.
struct PhysicalMap {
  std::size_t device_count = 0;
  std::size_t expert_count = 0;
  std::vector<std::int32_t> layer_ids;       ///< [layer], ascending; the model's own decoder-layer numbers
  Matrix<std::int32_t> physical_to_logical;  ///< [layer, slot], experts

  std::size_t layer_count() const { return physical_to_logical.rows(); }
  std::size_t slot_count() const { return physical_to_logical.columns(); }
  std::size_t redundant_count() const { return slot_count() - expert_count; }
  /// Of the fullest device.
  std::size_t slots_per_device() const { return device_count == 0 ? 0 : max_slots(slot_count(), device_count); }
  std::size_t device_of(std::size_t slot) const { return device_of_slot(slot, slot_count(), device_count); }
  std::span<const std::int32_t> device_experts(std::size_t layer, std::size_t device) const {
    return physical_to_logical.row(layer).subspan(first_slot_on(device, slot_count(), device_count),
                                                  slots_on(device, slot_count(), device_count));
  }
  bool operator==(const PhysicalMap&) const = default;
};

/// The mapping's slots, layers in ascending order.
PhysicalMap physical_map_of(const Mapping& mapping);

/// The same with a row for every decoder layer 0 .. decoder_layers - 1; layers that the map lacks (dense ones) hold
/// their experts in order. UsageError if the map has a layer beyond.
PhysicalMap with_all_layers(const PhysicalMap& map, std::size_t decoder_layers);

/// The same with further layers `first` .. first + count - 1, which hold their experts in order unless the map has
/// them.
PhysicalMap with_further_layers(const PhysicalMap& map, std::size_t first, std::size_t count);

/// The map as a mapping: an expert's first slot is its home, its other slots are redundant copies. Slots must pass
/// check_physical_map.
Mapping mapping_of(const PhysicalMap& map);

/// What an engine relies on: slots divide evenly over the devices, in each layer every expert has a slot, and no device
/// holds an expert twice. DataError naming `origin`, layer and expert otherwise.
void check_physical_map(const PhysicalMap& map, const std::string& origin);

}  // namespace gem
