#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "interchange/physical_map.hpp"
#include "model/mapping.hpp"

namespace gem {

/// The weights of one expert are copied. Slots of a device are numbered from 0; the one behind the last of the fullest
/// device, SlotPlan::spare_slot, is a device's spare place for one expert.
struct SlotMove {
  std::int32_t layer = 0;  ///< the model's own number
  std::int32_t expert = 0;
  std::int32_t from_device = 0, from_slot = 0;
  std::int32_t to_device = 0, to_slot = 0;
  std::int32_t replaces = -1;  ///< expert whose weights are overwritten; -1: it goes into the spare place
  bool operator==(const SlotMove&) const = default;
};

/// Experts of one layer, [device][slot].
struct LayerSlots {
  std::int32_t layer = 0;  ///< the model's own number
  std::vector<std::vector<std::int32_t>> before, after;
};

/// The way from a running placement to a mapping, slot by slot: in order of moves each expert is in at least one place
/// at any moment.
struct SlotPlan {
  std::string model;
  std::size_t device_count = 0;
  std::int32_t spare_slot = 0;
  std::vector<LayerSlots> layers;  ///< those that change, in the order of their first moves
  std::vector<SlotMove> moves;
};

/// The mapping's moves by slots. `live` says in which slot the running placement has each expert; without it a device's
/// experts stand in ascending order, as `gem-deploy export` writes them. UsageError where the mapping has no moves,
/// DataError naming `live_name` unless that is the placement that the moves begin with.
SlotPlan slot_plan(const Mapping& mapping, const std::optional<PhysicalMap>& live, const std::string& live_name);

/// The plan as JSON (README.md); `expert_bytes` is of one expert's weights, none where they aren't known.
std::string slot_plan_text(const SlotPlan& plan, std::optional<std::size_t> expert_bytes);

/// Carries out the moves of such a text, one after the other, from its first to its last slots. DataError naming
/// `origin` and the move that takes an expert from where it isn't, overwrites one that is nowhere else, or leads
/// elsewhere than the text says. Returns the number of moves.
std::size_t check_slot_plan_text(const std::string& text, const std::string& origin);

}  // namespace gem
