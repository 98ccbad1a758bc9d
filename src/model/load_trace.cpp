#include "model/load_trace.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

std::size_t group_count_of(const LoadTrace& trace) {
  return std::set<std::int32_t>(trace.request_groups.begin(), trace.request_groups.end()).size();
}

void check_experts(const LoadTrace& trace, const std::string& origin) {
  if (trace.experts_of_layer.empty()) return;
  if (const auto most = std::ranges::max(trace.experts_of_layer); static_cast<std::size_t>(most) < trace.expert_count())
    throw DataError(
        fmt::format("{}: /counts has room for {} experts, but no layer has more than {} (/experts_of_layer); "
                    "make the file again",
                    origin, trace.expert_count(), most));
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t expert = trace.experts_in(layer); expert < trace.expert_count(); ++expert)
        if (trace.counts(step, layer, expert) > 0)
          throw DataError(fmt::format(
              "{}: /counts has {} tokens for expert {} of layer {} in step {}, but the layer has {} experts "
              "(/experts_of_layer); make the file again",
              origin, trace.counts(step, layer, expert), expert, layer, step, trace.experts_in(layer)));
}

std::string contradictions_of(const LoadTrace& trace) {
  if (trace.top_k == 0) return "";
  std::size_t contradicting = 0, used = 0;
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      const auto row = trace.counts.row(step, layer);
      const std::size_t pairs = row_count(row);
      used += pairs > 0;
      contradicting += pairs % trace.top_k != 0 || *std::ranges::max_element(row) > pairs / trace.top_k;
    }
  if (contradicting == 0) return "";
  return fmt::format(
      "{} of {} layers of steps contradict {} experts a token: their sum is no multiple of it, or an expert has more "
      "tokens than the step; check top-k, and whether all experts were counted",
      contradicting, used, trace.top_k);
}

std::string contradiction_warning(const LoadTrace& trace) {
  if (trace.step_count() < 2) return "";
  const std::string contradictions = contradictions_of(trace);
  if (!contradictions.empty())
    return wrap("Warning: of the trace, " + contradictions + ", and the order of steps, layers and experts") + "\n";
  // All steps alike: then it is no mean of steps.
  if (trace.top_k == 0 || trace.tokens_per_step == 0) return "";
  const std::size_t tokens = row_count(trace.counts.row(0, 0)) / trace.top_k;
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      if (row_count(trace.counts.row(step, layer)) != tokens * trace.top_k) return "";
  if (tokens == trace.tokens_per_step) return "";
  return wrap(fmt::format("Warning: the trace says {} tokens a step, but its counts are of {}", trace.tokens_per_step,
                          tokens)) +
         "\n";
}

LoadTrace without_steps(const LoadTrace& trace) {
  LoadTrace copy;
  copy.model = trace.model;
  copy.task = trace.task;
  copy.phase = trace.phase;
  copy.part = trace.part;
  copy.sequence = trace.sequence;
  copy.top_k = trace.top_k;
  copy.tokens_per_step = trace.tokens_per_step;
  copy.layer_ids = trace.layer_ids;
  copy.experts_of_layer = trace.experts_of_layer;
  return copy;
}

LoadTrace steps_of(const LoadTrace& trace, std::size_t first, std::size_t count) {
  if (first + count > trace.step_count())
    throw UsageError(fmt::format("steps {} to {} were asked for, but the trace of task '{}' has {}", first,
                                 first + count, trace.task, trace.step_count()));
  std::vector<std::size_t> steps(count);
  std::iota(steps.begin(), steps.end(), first);
  return chosen_steps(trace, steps);
}

LoadTrace chosen_steps(const LoadTrace& trace, const std::vector<std::size_t>& steps) {
  LoadTrace chosen = without_steps(trace);
  const std::size_t step_size = trace.layer_count() * trace.expert_count();
  chosen.counts = Cube<std::uint32_t>(steps.size(), trace.layer_count(), trace.expert_count());
  auto to = chosen.counts.values().begin();
  for (const std::size_t step : steps) {
    const auto from = trace.counts.values().begin() + static_cast<std::ptrdiff_t>(step * step_size);
    to = std::copy(from, from + static_cast<std::ptrdiff_t>(step_size), to);
    if (!trace.request_groups.empty()) chosen.request_groups.push_back(trace.request_groups[step]);
  }
  return chosen;
}

LoadTrace chosen_layers(const LoadTrace& trace, const std::vector<std::size_t>& layers) {
  LoadTrace chosen = trace;
  chosen.layer_ids.clear();
  chosen.experts_of_layer.clear();
  chosen.counts = Cube<std::uint32_t>(trace.step_count(), layers.size(), trace.expert_count());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    chosen.layer_ids.push_back(trace.layer_ids[layers[i]]);
    chosen.experts_of_layer.push_back(static_cast<std::int32_t>(trace.experts_in(layers[i])));
    for (std::size_t step = 0; step < trace.step_count(); ++step)
      std::ranges::copy(trace.counts.row(step, layers[i]), chosen.counts.row(step, i).begin());
  }
  chosen.experts_of_layer = shortest(std::move(chosen.experts_of_layer), trace.expert_count());
  return chosen;
}

}  // namespace gem
