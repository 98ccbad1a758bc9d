#include "mapping/trace_mix.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "mapping/mapping_costs.hpp"
#include "model/trace_words.hpp"

namespace gem {
namespace {

void check_alike(const LoadTrace& first, const LoadTrace& other) {
  if (to_lower(first.model) != to_lower(other.model) || first.layer_ids != other.layer_ids ||
      first.expert_count() != other.expert_count() || first.experts_of_layer != other.experts_of_layer ||
      first.top_k != other.top_k)
    throw UsageError(
        fmt::format("the traces of tasks '{}' ('{}', {} layers, {} experts, top-{}) and '{}' ('{}', {} layers, {} "
                    "experts, top-{}) are not of the same layers of one model; make them from its routing",
                    first.task, first.model, first.layer_count(), first.expert_count(), first.top_k, other.task,
                    other.model, other.layer_count(), other.expert_count(), other.top_k));
}

/// A text that all traces have, else `otherwise`.
std::string common(const std::vector<LoadTrace>& traces, std::string LoadTrace::*text, const std::string& otherwise) {
  const auto same = [&](const LoadTrace& trace) { return trace.*text == traces.front().*text; };
  return std::ranges::all_of(traces, same) ? traces.front().*text : otherwise;
}

}  // namespace

LoadTrace mix_of(const std::vector<LoadTrace>& traces, const std::vector<std::int32_t>& weights) {
  if (traces.size() == 1) return traces.front();
  LoadTrace mix = without_steps(traces.front());
  std::vector<std::string> tasks;
  std::size_t total = 0;
  bool have_groups = true;
  for (const LoadTrace& trace : traces) {
    check_alike(traces.front(), trace);
    if (std::ranges::find(tasks, trace.task) == tasks.end()) tasks.push_back(trace.task);
    mix.tokens_per_step = std::max(mix.tokens_per_step, trace.tokens_per_step);
    total += trace.step_count();
    have_groups = have_groups && !trace.request_groups.empty();
  }
  mix.task = join(tasks, task_separator);
  mix.phase = common(traces, &LoadTrace::phase, "mixed");
  mix.part = common(traces, &LoadTrace::part, word_of(RequestPart::All));
  mix.sequence = common(traces, &LoadTrace::sequence, "resampled");

  const double weight_sum =
      weights.empty() ? static_cast<double>(traces.size()) : std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<std::uint32_t> counts;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    const double share = (weights.empty() ? 1.0 : weights[i]) / weight_sum;
    const auto taken =
        std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(share * static_cast<double>(total))));
    const std::size_t own = traces[i].step_count();
    std::vector<std::size_t> steps;
    for (std::size_t k = 0; k < taken; ++k) steps.push_back(taken <= own ? k * own / taken : k % own);
    const LoadTrace part = chosen_steps(traces[i], steps);
    counts.insert(counts.end(), part.counts.values().begin(), part.counts.values().end());
    if (have_groups)
      mix.request_groups.insert(mix.request_groups.end(), part.request_groups.begin(), part.request_groups.end());
  }
  const std::size_t step_size = traces.front().layer_count() * traces.front().expert_count();
  mix.counts =
      Cube<std::uint32_t>(counts.size() / step_size, traces.front().layer_count(), traces.front().expert_count());
  std::ranges::copy(counts, mix.counts.values().begin());
  return mix;
}

TraceLosses describe_losses(const Communicator& world, const MappingQuestion& question, const Mapping& common,
                            const std::vector<LoadTrace>& traces, const std::vector<LoadTrace>& tests) {
  const std::string reference = method_name(reference_method());
  Table table({{"trace", ""}, {"common", "of " + reference}, {"its own", "of " + reference}, {"lost", "%"}});
  bool held_out = !tests.empty();
  TraceLosses losses;
  for (std::size_t i = 0; i < traces.size(); ++i) {
    MappingQuestion own = question;
    own.train = traces[i];
    own.test = tests.empty() ? traces[i] : tests[i];
    own.sample = sample_of(own.train, *own.test);
    held_out = held_out && is_held_out(own.sample);
    own.folds = 0;
    own.certify = false;
    own.run_time = {};
    own.given.clear();
    own.doubts.clear();
    const MappingAnswer answer = find_mapping(world, own);
    if (!world.is_root()) continue;
    CostOptions judged_by = question.cost;
    judged_by.features = LoadFeatures::TilesAndExperts;
    MappingCosts costs(CostModel(question.profile, judged_by), *own.test);
    const double reference_s = answer.compared.front().test.mean_s;
    const double common_s = costs.score(common).mean_s, own_s = costs.score(answer.mapping()).mean_s;
    table.add_row({fmt::format("{} ({}, {} steps)", own.test->task, own.test->part, own.test->step_count()),
                   fmt::format("{:.3f}", common_s / reference_s), fmt::format("{:.3f}", own_s / reference_s),
                   fmt::format("{:.2f}", (common_s / own_s - 1.0) * 100.0)});
    losses.records.push_back(JsonRecord()
                                 .add("task", own.test->task)
                                 .add("part", own.test->part)
                                 .add("steps", own.test->step_count())
                                 .add("sample", sample_note(own.sample))
                                 .add("common_ratio", common_s / reference_s)
                                 .add("own_ratio", own_s / reference_s)
                                 .add("lost", common_s / own_s - 1.0));
  }
  if (!world.is_root()) return {};
  losses.text = fmt::format("The common mapping against one for each trace alone, {}:\n\n{}",
                            held_out ? "held-out" : "on the steps searched on", table.to_string());
  return losses;
}

}  // namespace gem
