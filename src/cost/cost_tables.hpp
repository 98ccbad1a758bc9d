#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "cost/cost_model.hpp"

namespace gem {

/// The loads of one stage: how they are packed (nothing for a linear stage) and the largest key that a device can get.
struct StageKeys {
  std::optional<LoadKeys> keys;
  std::int32_t max_key = 0;
};

/// Time of each device for every key of every stage, in ticks: whole nanoseconds, or a multiple of them where a time
/// would not fit in 32 bits. Integers make a delta equal to the full cost whatever the order of summation.
/// A device's tables of all stages follow each other, so that a look-up need not know of which stage it is: loads of a
/// stage begin at its `first_entry`, where there is no load and no time. What experts add beside is taken out of the
/// entries.
class CostTables {
 public:
  /// `stages` [stage]. UsageError if a table would be too large to be meant.
  CostTables(const CostModel& model, const std::vector<StageKeys>& stages);

  std::size_t device_count() const { return device_count_; }
  std::size_t stage_count() const { return stages_.size(); }
  /// Stages from this one on take their maximum over nodes; stage_count() if none does.
  std::size_t first_node_stage() const { return first_node_stage_; }
  /// [device]; empty where all stages take theirs over devices.
  const std::vector<std::int32_t>& node_of() const { return node_of_; }
  double tick_s() const { return tick_s_; }
  std::int32_t ticks_of(double seconds) const { return static_cast<std::int32_t>(std::llround(seconds / tick_s_)); }

  /// [entry], ticks, of all stages.
  std::span<const std::int32_t> of(std::size_t device) const {
    return {ticks_.data() + device * entry_count_, entry_count_};
  }
  std::int32_t first_entry(std::size_t stage) const { return stages_[stage].first_entry; }
  /// Nothing for a linear stage.
  const std::optional<LoadKeys>& keys(std::size_t stage) const { return stages_[stage].keys; }
  /// [key] ticks of an even load of one stage; no load with this key takes less, but for what LayerCost::max_saved
  /// says.
  std::span<const std::int32_t> even(std::size_t stage, std::size_t device) const {
    const StageTable& table = stages_[stage];
    return std::span(even_ticks_.empty() ? ticks_ : even_ticks_)
        .subspan(device * entry_count_ + static_cast<std::size_t>(table.first_entry), table.key_count);
  }

 private:
  struct StageTable {
    std::optional<LoadKeys> keys;
    std::int32_t first_entry;
    std::size_t key_count;
  };
  std::size_t device_count_;
  std::size_t entry_count_ = 0;
  std::vector<StageTable> stages_;
  std::size_t first_node_stage_ = 0;
  std::vector<std::int32_t> node_of_;
  double tick_s_ = 1e-9;
  std::vector<std::int32_t> ticks_;       // [device, entry]
  std::vector<std::int32_t> even_ticks_;  // likewise; empty where they are the same
};

}  // namespace gem
