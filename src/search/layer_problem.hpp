#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "model/load_trace.hpp"
#include "search/latency_tables.hpp"
#include "search/step_kernels.hpp"

namespace gem {

/// Device of each expert of one layer, [expert].
using Assignment = std::vector<std::int32_t>;

/// One layer's row of a mapping, [layer, expert or copy].
inline Assignment assignment_of(const Matrix<std::int32_t>& mapping, std::size_t layer) {
  return Assignment(mapping.row(layer).begin(), mapping.row(layer).end());
}

/// One layer's question: place its experts, `slots()` on each device, so that the sum over steps of the slowest
/// device's time is least. Structure of arrays, steps contiguous and padded to whole vectors with steps without load,
/// which cost nothing under any assignment.
/// Where the exchange counts, each step has a second one for it, behind all of the first kind: what it takes is what
/// the rows of the device that gets most take, and experts have that as extras, with keys of 0.
class LayerProblem {
 public:
  /// `keys` is [expert, padded step], with or without steps for the exchange; so is `extras`, ticks that experts add
  /// beside, empty where none adds any; `most_saved` see below.
  LayerProblem(std::shared_ptr<const LatencyTables> tables, std::size_t expert_count, std::size_t step_count,
               std::vector<std::int32_t> keys, std::vector<std::int32_t> extras, std::vector<std::int32_t> most_saved);

  std::size_t expert_count() const { return expert_count_; }
  std::size_t device_count() const { return tables_->device_count(); }
  std::size_t slots() const { return expert_count_ / device_count(); }
  std::size_t step_count() const { return step_count_; }
  std::size_t padded_steps() const { return padded_steps_; }
  bool has_exchange() const { return exchange_begin() < padded_steps_; }
  /// Where the exchanges of steps 0, 1, ... begin, [padded step].
  std::size_t exchange_begin() const;
  bool has_extras() const { return !extras_.empty(); }
  /// One expert, [padded step].
  LoadRow row(std::int32_t expert) const {
    const std::size_t at = static_cast<std::size_t>(expert) * padded_steps_;
    return {keys_.data() + at, has_extras() ? extras_.data() + at : nullptr};
  }
  /// [padded step], ticks, 0 or more, that a device's experts can at most take off an even load; empty without extras.
  const std::vector<std::int32_t>& most_saved() const { return most_saved_; }
  /// [padded step], ticks.
  const std::vector<std::int32_t>& floor() const { return floor_; }
  /// `floor` is [padded step], 0 or more.
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
  const LatencyTables& tables() const { return *tables_; }
  std::shared_ptr<const LatencyTables> shared_tables() const { return tables_; }

 private:
  std::shared_ptr<const LatencyTables> tables_;
  std::size_t expert_count_;
  std::size_t step_count_;
  std::size_t padded_steps_;
  std::size_t block_devices_;
  std::vector<std::int32_t> expert_of_copy_;
  std::vector<std::int32_t> keys_;
  std::vector<std::int32_t> extras_;
  std::vector<std::int32_t> most_saved_;
  std::vector<std::int32_t> floor_;
};

/// Steps rounded up to whole vectors.
constexpr std::size_t padded(std::size_t steps) {
  return (steps + 15) / 16 * 16;
}

inline std::size_t LayerProblem::exchange_begin() const {
  return padded(step_count_);
}

/// The layers of a trace on the devices; all share one set of tables. UsageError unless experts divide over devices.
std::vector<LayerProblem> layer_problems(const DeviceLatencies& latencies, const LoadTrace& trace);

/// The same for bounds alone, where devices hold `slots_per_device` experts and copies of experts: the loads without
/// any copies, which whatever copies there are only add to.
std::vector<LayerProblem> bounding_problems(const DeviceLatencies& latencies, const LoadTrace& trace,
                                            std::size_t slots_per_device);

/// Mean seconds a step from a cost in ticks summed over steps, exchange included where it counts.
double mean_seconds(const LayerProblem& problem, std::int64_t cost);

}  // namespace gem
