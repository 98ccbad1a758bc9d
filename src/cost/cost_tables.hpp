#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "cost/cost_model.hpp"

namespace gem {

/// The loads of one stage with one of its keys: how they are packed, and the largest key that a device can get.
struct StageKeys {
  LoadKeys keys;
  std::int32_t max_key = 0;
};

/// Where a kernel chooses its tile by the rows of its device, loads have several *planes*: a key in each of its tiles,
/// and the rows. Loads of more rows than `above_rows` are looked up by the key of `plane`, `offset` entries further on;
/// of several choices the last one that holds counts, without any the key of plane 0.
struct TileChoice {
  std::int32_t above_rows;
  std::int32_t plane;
  std::int32_t offset;
};

/// Time of each device for every key of every stage, in ticks: whole nanoseconds, or a multiple of them where a time
/// would not fit in 32 bits. Integers make a delta equal to the full cost whatever the order of summation.
/// A device's tables of all stages follow each other, so that a look-up need not know of which stage it is: loads of a
/// stage begin at its `first_entry`, where there is no load and no time. A stage has a table for each of its keys; one
/// stage at most has several. What experts add beside is taken out of the entries.
class CostTables {
 public:
  /// [stage][key], nothing for a linear stage. UsageError if a table would be too large to be meant.
  CostTables(const CostModel& model, const std::vector<std::vector<StageKeys>>& stages);

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
  std::int32_t first_entry(std::size_t stage) const { return stages_[stage].front().first_entry; }
  /// Of one of the kernel's tiles; null for a linear stage.
  const LoadKeys* keys(std::size_t stage, std::size_t tile = 0) const {
    return is_linear(stage) ? nullptr : &stages_[stage][tile].keys;
  }
  bool is_linear(std::size_t stage) const { return stages_[stage].front().is_linear; }
  /// How many tables the stage has.
  std::size_t tile_count(std::size_t stage) const { return stages_[stage].size(); }
  /// [key] ticks of an even load of one stage; no load with this key takes less, but for what LayerCost::max_saved
  /// says.
  std::span<const std::int32_t> even(std::size_t stage, std::size_t device, std::size_t tile = 0) const {
    const StageTable& table = stages_[stage][tile];
    return std::span(even_ticks_.empty() ? ticks_ : even_ticks_)
        .subspan(device * entry_count_ + static_cast<std::size_t>(table.first_entry), table.key_count);
  }

  /// Units of each plane's keys, [plane]; the rows follow as a plane of their own where there are several.
  const std::vector<std::uint32_t>& plane_units() const { return plane_units_; }
  std::size_t plane_count() const { return plane_units_.size() + (choices_.empty() ? 0 : 1); }
  /// The plane that has the keys of one of a stage's tables.
  std::size_t plane_of(std::size_t tile) const {
    return tile == 0 ? 0 : static_cast<std::size_t>(choices_[tile - 1].plane);
  }
  /// Ascending by rows; empty where there is one plane.
  const std::vector<TileChoice>& choices() const { return choices_; }

 private:
  struct StageTable {
    LoadKeys keys;
    std::int32_t first_entry;
    std::size_t key_count;
    bool is_linear;
  };
  template <class Visit>
  void for_each_key(const Visit& visit) const;
  void choose_planes(const std::vector<StageTable>& tables);

  std::size_t device_count_;
  std::size_t entry_count_ = 0;
  std::vector<std::vector<StageTable>> stages_;  // [stage][tile]; a linear one has a single entry
  std::vector<std::uint32_t> plane_units_{1};
  std::vector<TileChoice> choices_;
  std::size_t first_node_stage_ = 0;
  std::vector<std::int32_t> node_of_;
  double tick_s_ = 1e-9;
  std::vector<std::int32_t> ticks_;       // [device, entry]
  std::vector<std::int32_t> even_ticks_;  // likewise; empty where they are the same
};

}  // namespace gem
