#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "cost/layer_cost.hpp"
#include "model/expert_slots.hpp"

namespace gem {

/// Device of each expert of one layer, [expert].
using Assignment = std::vector<std::int32_t>;

/// Experts that each device of a layer holds, [device][slot] as slots_of(mapping, layer) gives them; -1: an empty slot.
using DeviceContents = std::vector<std::vector<std::int32_t>>;

/// Whether the expert is among those of a device.
inline bool holds(const std::vector<std::int32_t>& contents, std::int32_t expert) {
  return std::ranges::find(contents, expert) != contents.end();
}

/// What it costs, and how often it may happen, that an expert comes to a device that doesn't hold it now: a *move*.
struct MoveLimit {
  std::size_t max_moves = SIZE_MAX;  ///< of the layer
  std::int64_t move_ticks = 0;       ///< of one move, 0 or more, in ticks summed over columns
};

/// One layer's question: place its experts, on each device as many as it has slots (expert_slots.hpp), so that its cost
/// is the minimum; and what limits the answer.
class LayerProblem : public LayerCost {
 public:
  explicit LayerProblem(LayerCost cost)
      : LayerCost(std::move(cost)), block_devices_(device_count()), floor_(column_count(), 0) {}

  std::size_t slots_of(std::size_t device) const { return slots_on(device, expert_count(), device_count()); }
  /// [column], ticks that the column costs at least.
  const std::vector<std::int32_t>& floor() const { return floor_; }
  /// `floor` is [column], 0 or more.
  void set_floor(std::vector<std::int32_t> floor) { floor_ = std::move(floor); }
  /// Devices in blocks of consecutive ones: experts change places within a block only, see ExpertGroups. All devices
  /// are one block unless something else is set.
  std::size_t block_devices() const { return block_devices_; }
  /// `devices` divides device_count().
  void set_block_devices(std::size_t devices) { block_devices_ = devices; }
  /// Whether some of what is placed are copies of one expert, which must not meet on a device.
  bool has_copies() const { return !expert_of_copy_.empty(); }
  /// [copy] its expert; empty without copies.
  const std::vector<std::int32_t>& expert_of_copy() const { return expert_of_copy_; }
  /// An expert's copies follow each other, see experts_of_copies.
  void set_copies(std::vector<std::int32_t> expert_of_copy) { expert_of_copy_ = std::move(expert_of_copy); }
  /// The expert of what is placed: itself, or of which it is a copy.
  std::int32_t expert_of(std::int32_t placed) const {
    return has_copies() ? expert_of_copy_[static_cast<std::size_t>(placed)] : placed;
  }

  /// Whether moves from what devices hold now are counted, as part of the cost.
  bool has_present() const { return !is_move_.empty(); }
  /// 1 if the device doesn't hold the expert, or any copy of it, now, else 0.
  std::int32_t is_move(std::int32_t placed, std::int32_t device) const {
    return is_move_[static_cast<std::size_t>(placed) * device_count() + static_cast<std::size_t>(device)];
  }
  const MoveLimit& move_limit() const { return move_limit_; }
  /// Counts moves from `present` on; after set_copies.
  void set_present(const DeviceContents& present, const MoveLimit& limit);

 private:
  std::size_t block_devices_;
  std::vector<std::int32_t> expert_of_copy_;
  std::vector<std::int32_t> floor_;
  std::vector<std::int8_t> is_move_;  // [placed, device]; empty where moves aren't counted
  MoveLimit move_limit_;
};

/// The layers of a trace on the devices, without limits. Errors as of layer_costs.
std::vector<LayerProblem> layer_problems(const CostModel& model, const LoadTrace& trace);

}  // namespace gem
