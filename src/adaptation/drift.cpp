#include "adaptation/drift.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

void check_alike(const LoadTrace& first, const LoadTrace& other) {
  if (other.expert_count() != first.expert_count() || other.layer_ids != first.layer_ids ||
      other.experts_of_layer != first.experts_of_layer)
    throw UsageError(fmt::format(
        "the traces of tasks '{}' and '{}' are not of one model: {} layers x {} experts, and {} x {}, or other layers; "
        "make all with the same layers of one model",
        first.task, other.task, first.layer_count(), first.expert_count(), other.layer_count(), other.expert_count()));
}

// Which trace a step is of, and how much of it the last trace's.
struct Source {
  std::size_t trace;
  double last_share = 0.0;
};

Source source_of(std::size_t step, std::size_t steps, std::size_t traces, TaskOrder order, std::size_t period) {
  if (order == TaskOrder::Alternating) return {step / period % traces};
  if (order == TaskOrder::Mixed)
    return {0, traces > 1 && steps > 1 ? static_cast<double>(step) / static_cast<double>(steps - 1) : 0.0};
  return {step * traces / steps};
}

void copy_step(const LoadTrace& from, std::size_t from_step, LoadTrace& to, std::size_t step) {
  for (std::size_t layer = 0; layer < to.layer_count(); ++layer)
    std::ranges::copy(from.counts.row(from_step, layer), to.counts.row(step, layer).begin());
}

void mix_step(const LoadTrace& first, const LoadTrace& last, double share, LoadTrace& to, std::size_t step) {
  for (std::size_t layer = 0; layer < to.layer_count(); ++layer)
    for (std::size_t expert = 0; expert < to.expert_count(); ++expert)
      to.counts(step, layer, expert) = static_cast<std::uint32_t>(
          std::lround((1.0 - share) * first.counts(step % first.step_count(), layer, expert) +
                      share * last.counts(step % last.step_count(), layer, expert)));
}

}  // namespace

std::vector<SlowdownChange> parse_slowdown_changes(std::string_view text, const std::string& origin,
                                                   std::size_t device_count) {
  std::vector<SlowdownChange> changes;
  std::size_t number = 0;
  bool has_header = false;
  for (const std::string& raw : split(text, '\n')) {
    ++number;
    const std::string line = trim(raw);
    if (line.empty() || line[0] == '#') continue;
    if (!has_header) {
      if (line != "step,device,slowdown")
        throw DataError(
            fmt::format("{}, line {}: must be the header 'step,device,slowdown', but is '{}'", origin, number, line));
      has_header = true;
      continue;
    }
    const std::vector<std::string> cells = split(line, ',');
    const auto refuse = [&](const std::string& why) {
      return DataError(fmt::format("{}, line {}: '{}': {}; give step, device and slowdown", origin, number, line, why));
    };
    if (cells.size() != 3) throw refuse("has not three values");
    try {
      const std::int64_t step = parse_integer(trim(cells[0]), "step"), device = parse_integer(trim(cells[1]), "device");
      const double slowdown = parse_number(trim(cells[2]), "slowdown");
      if (step < 0) throw refuse("the step is below 0");
      if (device < 0 || device >= static_cast<std::int64_t>(device_count))
        throw refuse(fmt::format("there are {} devices, 0 to {}", device_count, device_count - 1));
      if (!(slowdown > 0.0) || !std::isfinite(slowdown)) throw refuse("the slowdown is not above 0");
      changes.push_back({static_cast<std::size_t>(step), static_cast<std::size_t>(device), slowdown});
    } catch (const UsageError& error) {
      throw refuse(error.what());
    }
  }
  if (!has_header) throw DataError(origin + ": is empty; its first line must be the header 'step,device,slowdown'");
  std::ranges::stable_sort(changes, {}, &SlowdownChange::step);
  return changes;
}

Drift make_drift(const std::vector<LoadTrace>& traces, TaskOrder order, std::size_t period, std::size_t steps,
                 const std::vector<SlowdownChange>& changes, std::size_t device_count) {
  for (const LoadTrace& trace : traces) check_alike(traces.front(), trace);
  Drift drift;
  drift.trace = traces.front();
  drift.trace.counts = Cube<std::uint32_t>(steps, drift.trace.layer_count(), drift.trace.expert_count());
  std::vector<std::size_t> next(traces.size(), 0);
  std::size_t before = 0;
  for (std::size_t step = 0; step < steps; ++step) {
    const Source source = source_of(step, steps, traces.size(), order, period);
    if (source.last_share > 0.0) {
      mix_step(traces.front(), traces.back(), source.last_share, drift.trace, step);
      continue;
    }
    const LoadTrace& trace = traces[source.trace];
    copy_step(trace, next[source.trace]++ % trace.step_count(), drift.trace, step);
    if (source.trace != before) drift.changes.push_back(step);
    before = source.trace;
  }
  drift.slowdown = Matrix<double>(steps, device_count, 1.0);
  for (const SlowdownChange& change : changes) {
    if (change.step >= steps) continue;
    for (std::size_t step = change.step; step < steps; ++step) drift.slowdown(step, change.device) = change.slowdown;
    if (change.step > 0) drift.changes.push_back(change.step);
  }
  std::ranges::sort(drift.changes);
  drift.changes.erase(std::unique(drift.changes.begin(), drift.changes.end()), drift.changes.end());
  return drift;
}

}  // namespace gem
