#include "search/layer_problem.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <functional>
#include <numeric>

#include "base/error.hpp"
#include "base/text.hpp"
#include "model/mapping.hpp"

namespace gem {
namespace {

// Beyond it, sums of 32 bits could overflow.
constexpr double most_extra_ticks = 5e8;

// Steps as a problem has them.
struct Steps {
  std::size_t count;           // of the trace
  std::size_t exchange_begin;  // and of the second kind from here on
  std::size_t stride;
};

Steps layout_of(const DeviceLatencies& latencies, const LoadTrace& trace) {
  const std::size_t begin = padded(trace.step_count());
  return {trace.step_count(), begin, latencies.exchange_row_s() > 0.0 ? 2 * begin : begin};
}

// What each expert's rows take in the exchange, less `slack` ticks, into `extras` [expert, padded step]. UsageError if
// that is beyond belief.
void add_exchange(const DeviceLatencies& latencies, const LatencyTables& tables, const LoadTrace& trace,
                  std::size_t layer, std::int32_t slack, std::vector<std::int32_t>& extras) {
  const Steps steps = layout_of(latencies, trace);
  for (std::size_t t = 0; t < steps.count; ++t) {
    double rows = 0.0;
    for (std::size_t e = 0; e < trace.expert_count(); ++e) rows += trace.counts(t, layer, e);
    const double sum_s = rows * latencies.exchange_row_s();
    if (sum_s > most_extra_ticks * tables.tick_s())
      throw UsageError(
          fmt::format("the rows of one step would take {} to exchange, which cannot be; give nanoseconds a row, "
                      "as gem-verify prints them",
                      format_seconds(sum_s)));
    for (std::size_t e = 0; e < trace.expert_count(); ++e)
      extras[e * steps.stride + steps.exchange_begin + t] =
          std::max(0, tables.ticks_of(latencies.exchange_row_s() * trace.counts(t, layer, e)) - slack);
  }
}

// [expert, padded step] ticks; empty where there are none: under a plain rule without exchange. DataError if they are
// beyond belief.
std::vector<std::int32_t> extras_of(const DeviceLatencies& latencies, const LatencyTables& tables,
                                    const LoadTrace& trace, std::size_t layer) {
  const LoadRule& rule = latencies.rule();
  const bool has_exchange = latencies.exchange_row_s() > 0.0;
  if (rule.costs.is_plain() && !has_exchange) return {};
  const Steps steps = layout_of(latencies, trace);
  std::vector<std::int32_t> extras(trace.expert_count() * steps.stride, 0);
  for (std::size_t t = 0; t < steps.count; ++t) {
    double sum_s = 0.0;
    for (std::size_t e = 0; e < trace.expert_count(); ++e) sum_s += std::abs(rule.extra_s(trace.counts(t, layer, e)));
    if (sum_s > most_extra_ticks * tables.tick_s())
      throw DataError(fmt::format(
          "the profile says that tiles and rows of one step cost {} beside what was measured, which cannot be; "
          "profile again",
          format_seconds(sum_s)));
    for (std::size_t e = 0; e < trace.expert_count(); ++e)
      extras[e * steps.stride + t] = tables.ticks_of(rule.extra_s(trace.counts(t, layer, e)));
  }
  if (has_exchange) add_exchange(latencies, tables, trace, layer, 0, extras);
  return extras;
}

// [step] ticks that the rows of last tiles can take off a device's time: of the experts that save most, as many
// as a device holds; and what rounding can. Empty under a plain rule.
std::vector<std::int32_t> most_saved_of(const LoadRule& rule, const LatencyTables& tables, const LoadTrace& trace,
                                        std::size_t layer) {
  if (rule.costs.is_plain()) return {};
  const std::size_t slots = trace.expert_count() / tables.device_count();
  std::vector<std::int32_t> most(padded(trace.step_count()), 0);
  std::vector<double> saved(trace.expert_count());
  for (std::size_t t = 0; t < trace.step_count(); ++t) {
    for (std::size_t e = 0; e < saved.size(); ++e) saved[e] = std::max(0.0, -rule.rows_s(trace.counts(t, layer, e)));
    std::ranges::nth_element(saved, saved.begin() + static_cast<std::ptrdiff_t>(slots) - 1, std::greater<>());
    const double sum = std::accumulate(saved.begin(), saved.begin() + static_cast<std::ptrdiff_t>(slots), 0.0);
    most[t] = tables.ticks_of(sum) + static_cast<std::int32_t>(slots) + 2;
  }
  return most;
}

// Loads of experts, and the most that one device can get of them.
struct LoadRows {
  std::vector<std::vector<std::int32_t>> keys;  // [layer][expert, padded step]
  std::int32_t largest_key;
};

LoadRows rows_of(const LoadKeys& keys, const LoadTrace& trace, std::size_t stride) {
  const std::size_t experts = trace.expert_count(), steps = trace.step_count();
  if (steps == 0) throw UsageError(fmt::format("the trace of task '{}' has no steps to search on", trace.task));
  LoadRows rows{};
  // No device can get more than the largest experts of a step together: the table ends there.
  std::int64_t largest_key = 0;
  std::vector<std::int64_t> step_keys(experts);
  const auto last_slot = step_keys.begin() + std::min(keys.experts_per_device, static_cast<std::int32_t>(experts));
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::int32_t>& layer_keys = rows.keys.emplace_back(experts * stride, 0);
    for (std::size_t t = 0; t < steps; ++t) {
      for (std::size_t e = 0; e < experts; ++e) step_keys[e] = keys.of(trace.counts(t, layer, e));
      for (std::size_t e = 0; e < experts; ++e) layer_keys[e * stride + t] = static_cast<std::int32_t>(step_keys[e]);
      std::nth_element(step_keys.begin(), last_slot - 1, step_keys.end(), std::greater<>());
      largest_key = std::max(largest_key, std::accumulate(step_keys.begin(), last_slot, std::int64_t{0}));
    }
  }
  if (largest_key > INT32_MAX)
    throw UsageError(
        fmt::format("a device may get a load of {} in one step, more than can be searched on; use smaller steps "
                    "(fewer tokens a step)",
                    largest_key));
  rows.largest_key = static_cast<std::int32_t>(largest_key);
  return rows;
}

}  // namespace

LayerProblem::LayerProblem(std::shared_ptr<const LatencyTables> tables, std::size_t expert_count,
                           std::size_t step_count, std::vector<std::int32_t> keys, std::vector<std::int32_t> extras,
                           std::vector<std::int32_t> most_saved)
    : tables_(std::move(tables)),
      expert_count_(expert_count),
      step_count_(step_count),
      padded_steps_(keys.size() / expert_count),
      block_devices_(tables_->device_count()),
      keys_(std::move(keys)),
      extras_(std::move(extras)),
      most_saved_(std::move(most_saved)),
      floor_(padded_steps_, 0) {}

std::vector<LayerProblem> layer_problems(const DeviceLatencies& latencies, const LoadTrace& trace) {
  const std::size_t experts = trace.expert_count();
  check_divisible(experts, latencies.device_count());
  const LoadKeys keys{latencies.features(), latencies.rule().tile_tokens,
                      static_cast<std::int32_t>(experts / latencies.device_count())};
  LoadRows rows = rows_of(keys, trace, layout_of(latencies, trace).stride);
  const auto tables = std::make_shared<const LatencyTables>(latencies, keys, rows.largest_key);
  std::vector<LayerProblem> problems;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
    problems.emplace_back(tables, experts, trace.step_count(), std::move(rows.keys[layer]),
                          extras_of(latencies, *tables, trace, layer),
                          most_saved_of(latencies.rule(), *tables, trace, layer));
  return problems;
}

std::vector<LayerProblem> bounding_problems(const DeviceLatencies& latencies, const LoadTrace& trace,
                                            std::size_t slots_per_device) {
  const LoadRule& rule = latencies.rule();
  const auto slots = static_cast<std::int32_t>(slots_per_device);
  const LoadKeys keys{latencies.features(), rule.tile_tokens, slots};
  const Steps steps = layout_of(latencies, trace);
  LoadRows rows = rows_of(keys, trace, steps.stride);
  const auto tables = std::make_shared<const LatencyTables>(latencies, keys, rows.largest_key);
  std::vector<std::int32_t> most_saved;
  if (!rule.costs.is_plain())  // each copy's last tile may hold a single row
    most_saved.assign(steps.exchange_begin, tables->ticks_of(std::max(0.0, -rule.rows_s(1)) * slots) + slots + 2);
  std::vector<LayerProblem> problems;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::int32_t> extras;
    if (latencies.exchange_row_s() > 0.0) {
      extras.assign(trace.expert_count() * steps.stride, 0);
      // Each copy's rows are rounded on their own: half a tick each, and no more copies than devices.
      add_exchange(latencies, *tables, trace, layer, static_cast<std::int32_t>(latencies.device_count()), extras);
    }
    problems.emplace_back(tables, trace.expert_count(), trace.step_count(), std::move(rows.keys[layer]),
                          std::move(extras), most_saved);
  }
  return problems;
}

double mean_seconds(const LayerProblem& problem, std::int64_t cost) {
  return static_cast<double>(cost) * problem.tables().tick_s() / static_cast<double>(problem.step_count());
}

}  // namespace gem
