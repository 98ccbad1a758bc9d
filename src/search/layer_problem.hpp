#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "cost/layer_cost.hpp"
#include "model/expert_slots.hpp"

namespace gem {

/// Device of each expert of one layer, [expert].
using Assignment = std::vector<std::int32_t>;

/// One layer's question: place its experts, on each device as many as it has slots (expert_slots.hpp), so that its cost
/// is the minimum; and what limits the answer.
class LayerProblem : public LayerCost {
 public:
  explicit LayerProblem(LayerCost cost)
      : LayerCost(std::move(cost)), block_devices_(device_count()), floor_(column_count(), 0) {}

  /// Slots of the fullest device.
  std::size_t slots() const { return max_slots(expert_count(), device_count()); }
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

 private:
  std::size_t block_devices_;
  std::vector<std::int32_t> expert_of_copy_;
  std::vector<std::int32_t> floor_;
};

/// The layers of a trace on the devices, without limits. Errors as of layer_costs.
std::vector<LayerProblem> layer_problems(const CostModel& model, const LoadTrace& trace);

}  // namespace gem
