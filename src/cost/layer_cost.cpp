#include "cost/layer_cost.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <bit>
#include <functional>
#include <numeric>
#include <span>

#include "base/error.hpp"
#include "model/mapping.hpp"

namespace gem {
namespace {

// Beyond it, sums of 32 bits could overflow.
constexpr double max_added_ticks = 5e8;

// What the costs are for: to place experts; or to bound what any copies of them cost.
enum class Purpose { Placing, BoundingCopies };

// Columns [layer][expert, plane, column] of all layers.
struct KeyColumns {
  std::size_t plane_count, column_count;
  std::vector<std::vector<std::int32_t>> layers;
  std::int32_t* of(std::size_t layer, std::size_t expert, std::size_t plane) {
    return layers[layer].data() + (expert * plane_count + plane) * column_count;
  }
};

// The keys of experts with so many tokens in a step, in the same order.
template <class Key>
void find_keys(const LoadKeys& keys, std::span<const std::uint32_t> tokens, Key* found) {
  if (!std::has_single_bit(keys.unit_tokens)) {
    std::ranges::transform(tokens, found, [&](std::uint32_t count) { return static_cast<Key>(keys.of(count)); });
    return;
  }
  // As LoadKeys::of, without a division.
  const int shift = std::countr_zero(keys.unit_tokens);
  const auto one = static_cast<Key>(keys.counts_experts()), radix = static_cast<Key>(keys.radix);
  for (std::size_t e = 0; e < tokens.size(); ++e)
    found[e] = static_cast<Key>((tokens[e] + keys.unit_tokens - 1) >> shift) * radix + (tokens[e] > 0 ? one : Key{0});
}

// Writes the keys of all layers into the columns of one stage in one plane, a vector of steps at a time: each line of
// memory is written once.
void write_keys(const LoadKeys& keys, const LoadTrace& trace, std::size_t plane, std::size_t first_column,
                KeyColumns& columns) {
  constexpr std::size_t steps_at_a_time = padded(1);
  const std::size_t width = trace.expert_count();
  std::vector<std::int32_t> found(steps_at_a_time * width);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    for (std::size_t begin = 0; begin < trace.step_count(); begin += steps_at_a_time) {
      const std::size_t steps = std::min(steps_at_a_time, trace.step_count() - begin);
      for (std::size_t t = 0; t < steps; ++t)
        find_keys(keys, trace.counts.row(begin + t, layer), found.data() + t * width);
      for (std::size_t e = 0; e < trace.experts_in(layer); ++e) {
        std::int32_t* const row = columns.of(layer, e, plane) + first_column + begin;
        for (std::size_t t = 0; t < steps; ++t) row[t] = found[t * width + e];
      }
    }
}

// The sum of the `count` largest values, if it is above `minimum`, else a value no larger than that. For any threshold,
//   sum of the largest <= count * threshold + sum of max(0, value - threshold),
// with equality at the last of them: a threshold that was right for one step shows of most others that they are below.
class LargestSum {
 public:
  explicit LargestSum(std::size_t count) : count_(count) {}

  std::int64_t of(std::vector<std::int64_t>& values, std::int64_t minimum) {
    std::int64_t at_most = threshold_ * static_cast<std::int64_t>(count_);
    for (const std::int64_t value : values) at_most += std::max<std::int64_t>(0, value - threshold_);
    if (at_most <= minimum) return minimum;
    const auto end = values.begin() + static_cast<std::ptrdiff_t>(count_);
    std::nth_element(values.begin(), end - 1, values.end(), std::greater<>());
    threshold_ = *(end - 1);
    return std::accumulate(values.begin(), end, std::int64_t{0});
  }

 private:
  std::size_t count_;
  std::int64_t threshold_ = 0;
};

// The largest key that one device can get: no device can get more than the largest experts of a step together, nor
// have more units than its rows make.
std::int32_t max_key_of(const LoadKeys& keys, const LoadTrace& trace, std::size_t slots) {
  const std::size_t experts = trace.expert_count();
  std::int64_t max_key = 0;
  std::vector<std::int64_t> step_keys(experts);
  LargestSum largest(std::min(slots, experts));
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      find_keys(keys, trace.counts.row(t, layer), step_keys.data());
      max_key = std::max(max_key, largest.of(step_keys, max_key));
    }
  if (max_key > INT32_MAX)
    throw UsageError(
        fmt::format("a device may get a load of {} in one step, more than can be searched on; use smaller steps "
                    "(fewer tokens a step)",
                    max_key));
  if (keys.rows_to == INT64_MAX) return static_cast<std::int32_t>(max_key);
  std::int64_t within_rows = 0;
  for (auto active = std::int64_t{1}; active <= std::min<std::int64_t>(keys.radix - 1, keys.rows_to); ++active)
    within_rows = std::max(within_rows, ((keys.rows_to - active) / keys.unit_tokens + active) * keys.radix + active);
  return static_cast<std::int32_t>(std::min(max_key, within_rows));
}

// Whether the columns of a stage hold what experts add. Copies' own tiles and rows can't be known before there are
// copies; what is linear in tokens can.
bool is_added(const Stage& stage, const CostTables& tables, std::size_t index, Purpose purpose) {
  return stage.has_added() && (purpose == Purpose::Placing || tables.is_linear(index));
}

// What experts add, [expert, column] ticks; empty where none adds any.
std::vector<std::int32_t> added_of(const CostModel& model, const CostTables& tables, const LoadTrace& trace,
                                   std::size_t layer, Purpose purpose) {
  const std::size_t padded_steps = padded(trace.step_count()), columns = padded_steps * model.stage_count();
  std::vector<std::int32_t> added;
  std::vector<double> seconds(trace.experts_in(layer));
  for (std::size_t s = 0; s < model.stage_count(); ++s) {
    const Stage& stage = model.stage(s);
    if (!is_added(stage, tables, s, purpose)) continue;
    added.resize(seconds.size() * columns, 0);
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
  std::vector<double> saved_s(trace.experts_in(layer));
  for (std::size_t s = 0; s < model.stage_count(); ++s) {
    const Stage& stage = model.stage(s);
    if (tables.is_linear(s) || !stage.has_added()) continue;
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
  const std::size_t steps = trace.step_count();
  if (steps == 0) throw UsageError(fmt::format("the trace of task '{}' has no steps to search on", trace.task));
  std::vector<std::vector<StageKeys>> stage_keys(model.stage_count());
  for (std::size_t s = 0; s < stage_keys.size(); ++s)
    for (const LoadKeys& keys : model.stage(s).keys(slots))
      stage_keys[s].push_back({keys, max_key_of(keys, trace, slots)});
  const auto tables = std::make_shared<const CostTables>(model, stage_keys);
  KeyColumns keys{tables->plane_count(), padded(steps) * model.stage_count(), {}};
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    keys.layers.emplace_back(trace.experts_in(layer) * keys.plane_count * keys.column_count, 0);
  for (std::size_t s = 0; s < stage_keys.size(); ++s) {
    for (std::size_t tile = 0; tile < stage_keys[s].size(); ++tile)
      write_keys(stage_keys[s][tile].keys, trace, tables->plane_of(tile), s * padded(steps), keys);
    if (stage_keys[s].size() > 1) {
      max_key_of({}, trace, slots);  // refuses what no column of rows can hold
      write_keys({}, trace, tables->plane_units().size(), s * padded(steps), keys);
    }
  }
  std::vector<LayerCost> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    layers.emplace_back(tables, trace.experts_in(layer), steps, std::move(keys.layers[layer]),
                        added_of(model, *tables, trace, layer, purpose),
                        max_saved_of(model, *tables, trace, layer, std::min(slots, trace.experts_in(layer)), purpose));
  return layers;
}

}  // namespace

LayerCost::LayerCost(std::shared_ptr<const CostTables> tables, std::size_t expert_count, std::size_t step_count,
                     std::vector<std::int32_t> keys, std::vector<std::int32_t> added,
                     std::vector<std::int32_t> max_saved)
    : tables_(std::move(tables)),
      expert_count_(expert_count),
      step_count_(step_count),
      column_count_(padded_steps() * stage_count()),
      key_count_(column_count_ * tables_->plane_count()),
      keys_(std::move(keys)),
      added_(std::move(added)),
      max_saved_(std::move(max_saved)) {}

void LayerCost::empty_load(std::int32_t* keys) const {
  std::fill_n(keys, key_count(), 0);  // no rows
  for (std::size_t plane = 0; plane < tables_->plane_units().size(); ++plane)
    for (std::size_t s = 0; s < stage_count(); ++s)
      std::fill_n(keys + plane * column_count() + first_column(s), padded_steps(), tables_->first_entry(s));
}

LayerCost LayerCost::merged(std::size_t experts) const {
  // Of `length` values an expert.
  const auto sums_of = [&](const std::vector<std::int32_t>& values, std::size_t length) {
    std::vector<std::int32_t> sums(values.size() / experts, 0);
    for (std::size_t i = 0; i < values.size(); ++i) sums[i / length / experts * length + i % length] += values[i];
    return sums;
  };
  return LayerCost(tables_, expert_count_ / experts, step_count_, sums_of(keys_, key_count()),
                   sums_of(added_, column_count()), max_saved_);
}

std::vector<LayerCost> layer_costs(const CostModel& model, const LoadTrace& trace) {
  check_device_count(trace.fewest_experts(), model.device_count());
  return layer_costs_for(Purpose::Placing, model, trace, max_slots(trace.expert_count(), model.device_count()));
}

std::vector<LayerCost> bounding_layer_costs(const CostModel& model, const LoadTrace& trace, std::size_t slots) {
  return layer_costs_for(Purpose::BoundingCopies, model, trace, slots);
}

double mean_seconds(const LayerCost& layer, std::int64_t cost) {
  return static_cast<double>(cost) * layer.tables().tick_s() / static_cast<double>(layer.step_count());
}

}  // namespace gem
