#include "cost/layer_cost.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.hpp"
#include "model/mapping.hpp"

namespace gem {
namespace {

// Beyond it, sums of 32 bits could overflow.
constexpr double max_added_ticks = 5e8;

// What the costs are for: to place experts; or to bound what any copies of them cost.
enum class Purpose { Placing, BoundingCopies };

// Writes the keys of all layers into the columns of one stage, [layer][expert, column]; the largest that one device can
// get.
std::int32_t write_keys(const LoadKeys& keys, const LoadTrace& trace, std::size_t slots, std::size_t first_column,
                        std::vector<std::vector<std::int32_t>>& layer_keys) {
  const std::size_t experts = trace.expert_count();
  // No device can get more than the largest experts of a step together: the table ends there.
  std::int64_t max_key = 0;
  std::vector<std::int64_t> step_keys(experts);
  const auto last_slot = step_keys.begin() + static_cast<std::ptrdiff_t>(std::min(slots, experts));
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::int32_t>& rows = layer_keys[layer];
    const std::size_t columns = rows.size() / experts;
    for (std::size_t t = 0; t < trace.step_count(); ++t) {
      for (std::size_t e = 0; e < experts; ++e) step_keys[e] = keys.of(trace.counts(t, layer, e));
      for (std::size_t e = 0; e < experts; ++e)
        rows[e * columns + first_column + t] = static_cast<std::int32_t>(step_keys[e]);
      std::nth_element(step_keys.begin(), last_slot - 1, step_keys.end(), std::greater<>());
      max_key = std::max(max_key, std::accumulate(step_keys.begin(), last_slot, std::int64_t{0}));
    }
  }
  if (max_key > INT32_MAX)
    throw UsageError(
        fmt::format("a device may get a load of {} in one step, more than can be searched on; use smaller steps "
                    "(fewer tokens a step)",
                    max_key));
  return static_cast<std::int32_t>(max_key);
}

// Whether the columns of a stage hold what experts add. Copies' own tiles and rows can't be known before there are
// copies; what is linear in tokens can.
bool is_added(const Stage& stage, const CostTables& tables, std::size_t index, Purpose purpose) {
  return stage.has_added() && (purpose == Purpose::Placing || !tables.keys(index));
}

// What experts add, [expert, column] ticks; empty where none adds any.
std::vector<std::int32_t> added_of(const CostModel& model, const CostTables& tables, const LoadTrace& trace,
                                   std::size_t layer, Purpose purpose) {
  const std::size_t padded_steps = padded(trace.step_count()), columns = padded_steps * model.stage_count();
  std::vector<std::int32_t> added;
  std::vector<double> seconds(trace.expert_count());
  for (std::size_t s = 0; s < model.stage_count(); ++s) {
    const Stage& stage = model.stage(s);
    if (!is_added(stage, tables, s, purpose)) continue;
    added.resize(trace.expert_count() * columns, 0);
    // Each copy's rows are rounded on their own: half a tick each, and no more copies than devices.
    const auto slack = purpose == Purpose::BoundingCopies ? static_cast<std::int32_t>(model.device_count()) : 0;
    for (std::size_t t = 0; t < trace.step_count(); ++t) {
      double sum_s = 0.0;
      for (std::size_t e = 0; e < seconds.size(); ++e) {
        seconds[e] = stage.added_s(trace.counts(t, layer, e));
        sum_s += std::abs(seconds[e]);
      }
      if (sum_s > max_added_ticks * tables.tick_s()) stage.refuse(sum_s);
      for (std::size_t e = 0; e < seconds.size(); ++e) {
        const std::int32_t ticks = tables.ticks_of(seconds[e]);
        added[e * columns + s * padded_steps + t] = slack > 0 ? std::max(0, ticks - slack) : ticks;
      }
    }
  }
  return added;
}

// [column] ticks that experts can take off a device's time: of those that save the most, as many as a device holds; and
// what rounding can. Empty where none can. Of copies, each may hold a single row.
std::vector<std::int32_t> max_saved_of(const CostModel& model, const CostTables& tables, const LoadTrace& trace,
                                       std::size_t layer, std::size_t slots, Purpose purpose) {
  const std::size_t padded_steps = padded(trace.step_count());
  std::vector<std::int32_t> max_saved;
  std::vector<double> saved_s(trace.expert_count());
  for (std::size_t s = 0; s < model.stage_count(); ++s) {
    const Stage& stage = model.stage(s);
    if (!tables.keys(s) || !stage.has_added()) continue;
    max_saved.resize(padded_steps * model.stage_count(), 0);
    const auto write = [&](std::size_t t, double sum_s) {
      max_saved[s * padded_steps + t] = tables.ticks_of(sum_s) + static_cast<std::int32_t>(slots) + 2;
    };
    for (std::size_t t = 0; t < trace.step_count(); ++t) {
      if (purpose == Purpose::BoundingCopies) {
        write(t, stage.saved_s(1) * static_cast<double>(slots));
        continue;
      }
      for (std::size_t e = 0; e < saved_s.size(); ++e) saved_s[e] = stage.saved_s(trace.counts(t, layer, e));
      const auto last_slot = saved_s.begin() + static_cast<std::ptrdiff_t>(slots);
      std::nth_element(saved_s.begin(), last_slot - 1, saved_s.end(), std::greater<>());
      write(t, std::accumulate(saved_s.begin(), last_slot, 0.0));
    }
  }
  return max_saved;
}

std::vector<LayerCost> layer_costs_for(Purpose purpose, const CostModel& model, const LoadTrace& trace,
                                       std::size_t slots) {
  const std::size_t steps = trace.step_count(), experts = trace.expert_count();
  if (steps == 0) throw UsageError(fmt::format("the trace of task '{}' has no steps to search on", trace.task));
  const std::size_t columns = padded(steps) * model.stage_count();
  std::vector<std::vector<std::int32_t>> keys;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) keys.emplace_back(experts * columns, 0);
  std::vector<StageKeys> stage_keys;
  for (std::size_t s = 0; s < model.stage_count(); ++s) {
    stage_keys.push_back({model.stage(s).keys(slots), 0});
    if (stage_keys[s].keys)
      stage_keys[s].max_key = write_keys(*stage_keys[s].keys, trace, slots, s * padded(steps), keys);
  }
  const auto tables = std::make_shared<const CostTables>(model, stage_keys);
  std::vector<LayerCost> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    layers.emplace_back(tables, experts, steps, std::move(keys[layer]), added_of(model, *tables, trace, layer, purpose),
                        max_saved_of(model, *tables, trace, layer, slots, purpose));
  return layers;
}

}  // namespace

LayerCost::LayerCost(std::shared_ptr<const CostTables> tables, std::size_t expert_count, std::size_t step_count,
                     std::vector<std::int32_t> keys, std::vector<std::int32_t> added,
                     std::vector<std::int32_t> max_saved)
    : tables_(std::move(tables)),
      expert_count_(expert_count),
      step_count_(step_count),
      keys_(std::move(keys)),
      added_(std::move(added)),
      max_saved_(std::move(max_saved)) {}

void LayerCost::empty_load(std::int32_t* keys) const {
  for (std::size_t s = 0; s < stage_count(); ++s)
    std::fill_n(keys + first_column(s), padded_steps(), tables_->first_entry(s));
}

LayerCost LayerCost::merged(std::size_t experts) const {
  const std::size_t columns = column_count();
  const auto sums_of = [&](const std::vector<std::int32_t>& values) {
    std::vector<std::int32_t> sums(values.size() / experts, 0);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i / columns / experts * columns + i % columns] += values[i];
    return sums;
  };
  return LayerCost(tables_, expert_count_ / experts, step_count_, sums_of(keys_), sums_of(added_), max_saved_);
}

std::vector<LayerCost> layer_costs(const CostModel& model, const LoadTrace& trace) {
  check_device_count(trace.expert_count(), model.device_count());
  return layer_costs_for(Purpose::Placing, model, trace, max_slots(trace.expert_count(), model.device_count()));
}

std::vector<LayerCost> bounding_layer_costs(const CostModel& model, const LoadTrace& trace, std::size_t slots) {
  return layer_costs_for(Purpose::BoundingCopies, model, trace, slots);
}

double mean_seconds(const LayerCost& layer, std::int64_t cost) {
  return static_cast<double>(cost) * layer.tables().tick_s() / static_cast<double>(layer.step_count());
}

}  // namespace gem
