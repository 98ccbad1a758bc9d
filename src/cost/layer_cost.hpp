#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "cost/cost_tables.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// A load or an expert, column by column (LayerCost): keys, plane after plane, and the ticks that experts add beside;
/// null where none adds any.
struct LoadRow {
  const std::int32_t* key;
  const std::int32_t* added;
};

/// Steps rounded up to whole vectors.
constexpr std::size_t padded(std::size_t steps) {
  return (steps + 15) / 16 * 16;
}

/// What one layer costs under any placement of its experts, as whole numbers: the sum over *columns* of the maximum
/// over devices of a table at an additive key, and what experts add. A column is a step of a stage: the steps of each
/// stage follow each other, padded to whole vectors with steps without load, which cost nothing under any placement.
/// Structure of arrays, so that an expert's columns are contiguous. Where the kernel chooses its tile by the rows of
/// its device, keys have several planes (TileChoice), each of all columns.
class LayerCost {
 public:
  /// `keys` is [expert, plane, column], `added` [expert, column], ticks, or empty where no expert adds any; `max_saved`
  /// see below.
  LayerCost(std::shared_ptr<const CostTables> tables, std::size_t expert_count, std::size_t step_count,
            std::vector<std::int32_t> keys, std::vector<std::int32_t> added, std::vector<std::int32_t> max_saved);

  std::size_t expert_count() const { return expert_count_; }
  std::size_t device_count() const { return tables_->device_count(); }
  std::size_t step_count() const { return step_count_; }
  std::size_t stage_count() const { return tables_->stage_count(); }
  /// Of each stage.
  std::size_t padded_steps() const { return padded(step_count_); }
  /// Of all stages.
  std::size_t column_count() const { return column_count_; }
  /// The column of a stage's first step.
  std::size_t first_column(std::size_t stage) const { return padded_steps() * stage; }

  /// Of a load: the columns of all planes.
  std::size_t key_count() const { return key_count_; }
  /// Columns from this one on take their maximum over nodes; column_count() if none does.
  std::size_t first_node_column() const { return first_column(tables_->first_node_stage()); }

  bool has_added() const { return !added_.empty(); }
  /// One expert, keys [plane, column].
  LoadRow row(std::int32_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return {keys_.data() + e * key_count(), has_added() ? added_.data() + e * column_count() : nullptr};
  }
  /// Keys of a device without experts, [plane, column].
  void empty_load(std::int32_t* keys) const;
  /// [column], ticks, 0 or more, that a device's experts can at most take off an even load; empty where they can't.
  const std::vector<std::int32_t>& max_saved() const { return max_saved_; }
  const CostTables& tables() const { return *tables_; }

  /// The same with every `experts` consecutive experts as one.
  LayerCost merged(std::size_t experts) const;

 private:
  std::shared_ptr<const CostTables> tables_;
  std::size_t expert_count_;
  std::size_t step_count_;
  std::size_t column_count_, key_count_;
  std::vector<std::int32_t> keys_;
  std::vector<std::int32_t> added_;
  std::vector<std::int32_t> max_saved_;
};

/// The layers of a trace; all share one set of tables. UsageError for more devices than experts, for a trace
/// without steps, and for loads too large to be counted.
std::vector<LayerCost> layer_costs(const CostModel& model, const LoadTrace& trace);

/// The same for bounds alone, where devices hold `slots` experts and copies of experts: the loads without any copies,
/// which whatever copies there are only add to.
std::vector<LayerCost> bounding_layer_costs(const CostModel& model, const LoadTrace& trace, std::size_t slots);

/// Mean seconds a step from a cost in ticks summed over columns.
double mean_seconds(const LayerCost& layer, std::int64_t cost);

}  // namespace gem
