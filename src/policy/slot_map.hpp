#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "cost/cost_model.hpp"
#include "model/load_trace.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// Where a layer's experts are as engines have it: the expert of each slot, [slot], slot s on device s / slots a
/// device. Unlike a Mapping it may hold an expert twice on a device, as some policies of engines do.
using SlotRow = std::span<const std::int32_t>;

/// Throws DataError, with what is wrong, unless every slot holds an expert and every expert has a slot.
void check_slots(SlotRow row, std::size_t layer, std::size_t expert_count);

/// Experts of each device, [device][slot].
DeviceContents contents_of(SlotRow row, std::size_t slots_per_device);

/// Slots of each expert, [expert].
std::vector<std::int32_t> slot_counts(SlotRow row, std::size_t expert_count);

/// The row for an assignment of experts, or of copies of `expert_of_copy`: an expert that stays on its device keeps its
/// slot of `present`, those that come take the slots that become free in ascending order.
std::vector<std::int32_t> arranged(SlotRow present, const Assignment& assignment,
                                   std::span<const std::int32_t> expert_of_copy, std::size_t slots_per_device);

/// Experts that come to a device which `from` has none of them on.
std::size_t moves_between(SlotRow from, SlotRow to, std::size_t slots_per_device);

/// Seconds of one layer, summed over the steps of a trace, of a placement and of others that differ from it on few
/// devices: only these are summed anew. An expert's tokens are split evenly over its slots. Keeps model and trace.
class SlotSeconds {
 public:
  SlotSeconds(const CostModel& model, const LoadTrace& trace, std::size_t layer, SlotRow row,
              std::size_t slots_per_device);
  /// Of the placement itself.
  double sum() const;
  /// Of another one.
  double sum_of(SlotRow row) const;

 private:
  // Which part of an expert's tokens a slot has.
  struct Share {
    std::int32_t expert, copies, copy;
    bool operator==(const Share&) const = default;
  };
  std::vector<Share> shares_of(SlotRow row) const;
  std::span<const Share> device_part(const std::vector<Share>& shares, std::size_t device) const;
  void write_seconds(std::span<const Share> shares, std::size_t device, std::vector<double>& seconds) const;
  double sum_of_slowest(const std::vector<const double*>& seconds) const;

  const CostModel* model_;
  const LoadTrace* trace_;
  std::size_t layer_, slots_per_device_;
  std::vector<Share> shares_;                 // [slot]
  std::vector<std::vector<double>> seconds_;  // [device][step, stage]
};

/// The same of one placement.
double slots_seconds(const CostModel& model, const LoadTrace& trace, std::size_t layer, SlotRow row,
                     std::size_t slots_per_device);

}  // namespace gem
