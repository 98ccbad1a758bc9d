#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"

namespace gem {
namespace {

constexpr double greatest_count = 1073741824.0;  // 2^30, what a trace may hold

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

std::string place_of(const ImportedCounts& imported) {
  return imported.origin + " (" + imported.source + ")";
}

void check_counts(const ImportedCounts& imported) {
  for (const double count : imported.counts.values())
    if (!(count >= 0.0 && std::isfinite(count)))
      throw DataError(fmt::format("{}: holds {:g}, which is no count of tokens", place_of(imported), count));
}

/// Indices of the layers that have experts: all, unless dense ones are there as zeros.
std::vector<std::size_t> moe_layers(const ImportedCounts& imported) {
  std::vector<std::size_t> layers;
  for (std::size_t layer = 0; layer < imported.counts.rows(); ++layer) {
    bool used = !imported.every_decoder_layer;
    for (std::size_t step = 0; step < imported.counts.planes() && !used; ++step)
      used = sum_of(imported.counts.row(step, layer)) > 0.0;
    if (used) layers.push_back(layer);
  }
  return layers;
}

std::vector<std::size_t> used_steps(const ImportedCounts& imported) {
  std::vector<std::size_t> steps;
  for (std::size_t step = 0; step < imported.counts.planes(); ++step) {
    double tokens = 0.0;
    for (std::size_t layer = 0; layer < imported.counts.rows(); ++layer)
      tokens += sum_of(imported.counts.row(step, layer));
    if (tokens > 0.0) steps.push_back(step);
  }
  return steps;
}

std::vector<std::int32_t> numbered_layers(std::size_t count, const ImportOptions& options,
                                          std::vector<std::string>& notes) {
  if (options.layer_ids.empty()) {
    std::vector<std::int32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0);
    notes.push_back(
        "layers are numbered from 0, since the data don't say the model's own numbers; --model or --layer-ids "
        "can");
    return ids;
  }
  if (options.layer_ids.size() != count)
    throw UsageError(
        fmt::format("the data have {} layers, but --model or --layer-ids names {}", count, options.layer_ids.size()));
  return options.layer_ids;
}

/// `total` tokens in proportion to the weights, in whole numbers: what is left goes to the largest remainders.
void apportion(std::span<const double> weights, double total, std::span<std::uint32_t> counts) {
  const double sum = sum_of(weights);
  std::vector<std::pair<double, std::size_t>> remainders;
  double left = total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double share = total * weights[i] / sum;
    counts[i] = static_cast<std::uint32_t>(share);
    left -= std::floor(share);
    remainders.emplace_back(std::floor(share) - share, i);
  }
  std::ranges::sort(remainders);
  for (std::size_t i = 0; i < remainders.size() && left > 0.5; ++i, left -= 1.0) ++counts[remainders[i].second];
}

void copy_counts(std::span<const double> row, const ImportedCounts& imported, std::span<std::uint32_t> counts) {
  for (std::size_t expert = 0; expert < row.size(); ++expert) {
    if (row[expert] != std::floor(row[expert]))
      throw DataError(fmt::format(
          "{}: holds {:g}, a fraction; {}", place_of(imported), row[expert],
          imported.has_steps ? "counts by step must be whole tokens" : "say how many tokens a step has with --tokens"));
    if (row[expert] > greatest_count)
      throw DataError(fmt::format("{}: holds {:g} tokens, more than a step of a trace can have{}", place_of(imported),
                                  row[expert],
                                  imported.has_steps ? "" : "; scale the aggregate to a step with --tokens"));
    counts[expert] = static_cast<std::uint32_t>(row[expert]);
  }
}

std::size_t top_k_of(const ImportedCounts& imported, const ImportOptions& options) {
  if (imported.top_k != 0 && options.top_k != 0 && imported.top_k != options.top_k)
    throw UsageError(
        fmt::format("the data have {} experts a token, but --top-k or --model says {}", imported.top_k, options.top_k));
  const std::size_t top_k = imported.top_k != 0 ? imported.top_k : options.top_k;
  if (top_k == 0) throw UsageError("how many experts a token uses is not in the data; say it with --top-k or --model");
  if (top_k > imported.counts.columns())
    throw UsageError(
        fmt::format("{} experts a token are more than the {} of a layer", top_k, imported.counts.columns()));
  return top_k;
}

/// Mean tokens of a step, by its fullest layer; notes say where steps or layers differ.
std::size_t tokens_per_step(const LoadTrace& trace, std::vector<std::string>& notes) {
  double least = HUGE_VAL, most = 0.0, total = 0.0;
  std::size_t unequal = 0;
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    double fullest = 0.0, emptiest = HUGE_VAL;
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      const auto row = trace.counts.row(step, layer);
      const double pairs = std::accumulate(row.begin(), row.end(), 0.0);
      fullest = std::max(fullest, pairs);
      emptiest = std::min(emptiest, pairs);
    }
    unequal += fullest != emptiest;
    const double tokens = fullest / static_cast<double>(trace.top_k);
    least = std::min(least, tokens);
    most = std::max(most, tokens);
    total += tokens;
  }
  const double mean = total / static_cast<double>(trace.step_count());
  if (least != most)
    notes.push_back(fmt::format("tokens a step vary from {:.0f} to {:.0f}, {:.0f} on average", least, most, mean));
  if (unequal > 0)
    notes.push_back(
        fmt::format("in {} of {} steps, layers count different numbers of tokens", unequal, trace.step_count()));
  return static_cast<std::size_t>(std::clamp(std::round(mean), 1.0, greatest_count));
}

}  // namespace

LoadTrace trace_of(const ImportedCounts& imported, const ImportOptions& options, std::vector<std::string>& notes) {
  check_counts(imported);
  if (options.tokens > 0 && imported.has_steps)
    throw UsageError("--tokens scales aggregates, but these data have a time axis; leave it out");
  if (options.expert_count != 0 && options.expert_count != imported.counts.columns())
    throw UsageError(fmt::format("the data have {} experts a layer, but --model or --experts says {}",
                                 imported.counts.columns(), options.expert_count));
  const std::vector<std::size_t> layers = moe_layers(imported), steps = used_steps(imported);
  if (layers.empty() || steps.empty()) throw DataError(place_of(imported) + ": no expert got a token in any step");

  LoadTrace trace;
  trace.model = options.model;
  trace.task = options.task;
  trace.phase = options.phase;
  trace.top_k = top_k_of(imported, options);
  if (imported.every_decoder_layer)
    for (const std::size_t layer : layers) trace.layer_ids.push_back(static_cast<std::int32_t>(layer));
  else if (!imported.layer_ids.empty())
    trace.layer_ids = imported.layer_ids;
  else
    trace.layer_ids = numbered_layers(layers.size(), options, notes);

  if (!options.layer_ids.empty() && options.layer_ids != trace.layer_ids)
    notes.push_back(fmt::format(
        "the data have experts in {} layers from {} to {}, other ones than --model or --layer-ids says; the "
        "data's numbers are kept",
        trace.layer_ids.size(), trace.layer_ids.front(), trace.layer_ids.back()));

  trace.counts = Cube<std::uint32_t>(steps.size(), layers.size(), imported.counts.columns());
  const double pairs = static_cast<double>(options.tokens) * static_cast<double>(trace.top_k);
  if (pairs > greatest_count) throw UsageError("--tokens is more than a step of a trace can have");
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const auto row = imported.counts.row(steps[step], layers[layer]);
      if (options.tokens > 0 && sum_of(row) > 0.0)
        apportion(row, pairs, trace.counts.row(step, layer));
      else
        copy_counts(row, imported, trace.counts.row(step, layer));
    }
  }
  notes.insert(notes.end(), imported.notes.begin(), imported.notes.end());
  if (!imported.has_steps)
    notes.push_back(
        "NO TIME AXIS: an aggregate, kept as one step; a mapping found on it balances means only, blind to "
        "experts that are busy together");
  if (steps.size() < imported.counts.planes())
    notes.push_back(fmt::format("{} steps without tokens were left out", imported.counts.planes() - steps.size()));
  trace.tokens_per_step = tokens_per_step(trace, notes);
  return trace;
}

void complete(Routing& routing, const ImportOptions& options, std::vector<std::string>& notes) {
  if (options.top_k != 0 && options.top_k != routing.top_k)
    throw UsageError(
        fmt::format("the data have {} experts a token, but --top-k or --model says {}", routing.top_k, options.top_k));
  if (routing.top_k > routing.expert_count)
    throw UsageError(fmt::format("the data have {} experts a token, more than the {} that --experts or --model says",
                                 routing.top_k, routing.expert_count));
  routing.model = options.model;
  routing.task = options.task;
  routing.phase = options.phase;
  routing.layer_ids = numbered_layers(routing.layer_count(), options, notes);
}

}  // namespace gem
