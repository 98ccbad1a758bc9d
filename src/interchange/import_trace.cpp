#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "interchange/not_counts.hpp"

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

/// Indices of the layers in which an expert got a token.
std::vector<std::size_t> used_layers(const ImportedCounts& imported) {
  std::vector<std::size_t> layers;
  for (std::size_t layer = 0; layer < imported.counts.rows(); ++layer) {
    bool used = false;
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
      throw DataError(fmt::format("{}: holds {:g}, a fraction; {}", place_of(imported), row[expert],
                                  imported.has_steps
                                      ? "counts by step must be whole tokens"
                                      : "say how many tokens a step has with " + on_command_line("tokens")));
    if (row[expert] > greatest_count)
      throw DataError(
          fmt::format("{}: holds {:g} tokens, more than a step of a trace can have{}", place_of(imported), row[expert],
                      imported.has_steps ? "" : "; scale the aggregate to a step with " + on_command_line("tokens")));
    counts[expert] = static_cast<std::uint32_t>(row[expert]);
  }
}

std::size_t top_k_of(const ImportedCounts& imported, const ImportOptions& options) {
  if (imported.top_k != 0 && options.top_k != 0 && imported.top_k != options.top_k)
    throw UsageError(fmt::format("the data have {} experts a token, but {} or {} says {}", imported.top_k,
                                 on_command_line("top-k"), on_command_line("model"), options.top_k));
  const std::size_t top_k = imported.top_k != 0 ? imported.top_k : options.top_k;
  if (top_k == 0)
    throw UsageError("how many experts a token uses is not in the data; say it with " + on_command_line("top-k") +
                     " or " + on_command_line("model"));
  const std::size_t experts = imported.counts.columns();
  if (top_k > experts)
    throw UsageError(fmt::format("{}: {} experts a token are more than the {} of a layer; check {}, or say {} N",
                                 place_of(imported), top_k, experts, on_command_line("top-k"),
                                 on_command_line("experts")));
  if (top_k > 1 && top_k == experts && options.expert_count != experts)
    throw DataError(
        fmt::format("{}: has {} numbers a layer, as many as a token has experts: ids of experts (read with {} "
                    "vllm-routed), not counts of tokens; say {} {} if a layer has no more experts",
                    place_of(imported), experts, on_command_line("format"), on_command_line("experts"), experts));
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

/// The counts without their last columns.
void drop_last_experts(ImportedCounts& imported, std::size_t dropped) {
  Cube<double> counts(imported.counts.planes(), imported.counts.rows(), imported.counts.columns() - dropped);
  for (std::size_t step = 0; step < counts.planes(); ++step)
    for (std::size_t layer = 0; layer < counts.rows(); ++layer)
      std::ranges::copy(imported.counts.row(step, layer).first(counts.columns()), counts.row(step, layer).begin());
  imported.counts = std::move(counts);
}

/// Whether the last expert gets every token: of `top_k` times as many, spread over the others, but for a rest.
bool last_gets_every_token(const Cube<double>& counts, std::size_t top_k) {
  std::size_t rows = 0;
  const auto k = static_cast<double>(top_k);
  for (std::size_t step = 0; step < counts.planes(); ++step)
    for (std::size_t layer = 0; layer < counts.rows(); ++layer) {
      const auto row = counts.row(step, layer);
      const double others = sum_of(row.first(row.size() - 1));
      if (std::abs(row.back() * k - others) >= k) return false;
      if (others > 0.0 && others < 8.0 * k) return false;  // shares, or too few tokens to judge by
      rows += others > 0.0;
    }
  return rows > 0;
}

/// Shared experts that the engine fused into the routed ones are counted behind them.
void drop_shared_experts(ImportedCounts& imported, const ImportOptions& options, std::vector<std::string>& notes) {
  const std::size_t columns = imported.counts.columns(), last = options.fused_shared + options.zero_experts;
  if (last >= columns)
    throw UsageError(fmt::format("{} {} and {} {}: the data have only {} experts", on_command_line("fused-shared"),
                                 options.fused_shared, on_command_line("zero-experts"), options.zero_experts, columns));
  if (!imported.experts_of_layer.empty() || !options.layer_experts.empty()) {
    if (last > 0)
      throw UsageError(
          fmt::format("{} and {} go with layers of as many experts each, but these have different numbers; take those "
                      "experts' counts out of the file",
                      on_command_line("fused-shared"), on_command_line("zero-experts")));
    return;
  }
  if (last > 0) return drop_last_experts(imported, last);
  const std::size_t top_k = imported.top_k != 0 ? imported.top_k : options.top_k;
  if (top_k < 2 || columns <= top_k + 1 || columns == options.expert_count) return;
  if (!last_gets_every_token(imported.counts, top_k)) return;
  drop_last_experts(imported, 1);
  notes.push_back(
      fmt::format("expert {} gets every token: a shared expert that the engine fused into the routed ones; "
                  "it was left out",
                  columns - 1));
}

/// The largest number that all counts are multiples of, if there are enough of them to judge by; else 1.
std::size_t common_factor(const Cube<double>& counts) {
  constexpr std::size_t fewest = 32;
  std::uint64_t factor = 0;
  std::size_t used = 0;
  for (const double count : counts.values()) {
    if (count == 0.0) continue;
    if (count != std::floor(count) || count > greatest_count) return 1;
    factor = std::gcd(factor, static_cast<std::uint64_t>(count));
    ++used;
  }
  return used >= fewest ? factor : 1;
}

/// An engine that sums over its ranks counts a token as often as ranks see it.
void count_each_token_once(ImportedCounts& imported, const ImportOptions& options, std::vector<std::string>& notes) {
  std::size_t times = options.counted_times;
  if (times == 0 && imported.summed_over_ranks) {
    times = common_factor(imported.counts);
    if (times > 1)
      notes.push_back(
          fmt::format("every count is a multiple of {}, as where each of {} ranks counts every token (no attention "
                      "data parallelism), and was divided by it; {} 1 keeps them",
                      times, times, on_command_line("counted-times")));
  }
  if (times <= 1) return;
  for (double& count : imported.counts.values()) {
    count /= static_cast<double>(times);
    if (imported.has_steps && count != std::floor(count))
      throw UsageError(
          fmt::format("{} {}: not all counts are multiples of it", on_command_line("counted-times"), times));
  }
}

/// Layers behind the model's last one are those of a draft model.
void drop_draft_layers(const ImportedCounts& imported, const ImportOptions& options, std::vector<std::size_t>& layers,
                       std::vector<std::string>& notes) {
  if (options.decoder_layers == 0 || (!imported.every_decoder_layer && imported.layer_ids.empty())) return;
  const std::size_t dropped = std::erase_if(layers, [&](std::size_t layer) {
    const std::size_t number =
        imported.every_decoder_layer ? layer : static_cast<std::size_t>(imported.layer_ids[layer]);
    return number >= options.decoder_layers;
  });
  if (dropped > 0)
    notes.push_back(fmt::format("{} layers behind the model's {} decoder layers (multi-token prediction) were left out",
                                dropped, options.decoder_layers));
}

/// The model's own numbers of the layers that got a token.
std::vector<std::int32_t> layer_numbers(const ImportedCounts& imported, const std::vector<std::size_t>& layers,
                                        const ImportOptions& options, std::vector<std::string>& notes) {
  const std::size_t rows = imported.counts.rows();
  std::vector<std::int32_t> numbers;
  const bool by_row = imported.every_decoder_layer || (imported.layer_ids.empty() && options.decoder_layers == rows &&
                                                       options.layer_ids.size() != rows);
  std::vector<std::int32_t> all = imported.layer_ids;
  if (by_row) {
    all.resize(rows);
    std::iota(all.begin(), all.end(), 0);
  } else if (all.empty()) {
    if (options.layer_ids.size() == layers.size()) return options.layer_ids;
    all = numbered_layers(rows, options, notes);
  }
  for (const std::size_t layer : layers) numbers.push_back(all[layer]);
  return numbers;
}

/// Names layers without a token, and layers that are not the model's.
void note_layers(const ImportedCounts& imported, const std::vector<std::size_t>& layers,
                 const std::vector<std::int32_t>& numbers, const ImportOptions& options,
                 std::vector<std::string>& notes) {
  const std::set<std::int32_t> kept(numbers.begin(), numbers.end());
  if (!options.layer_ids.empty()) {
    std::vector<std::int64_t> lacking;
    for (const std::int32_t id : options.layer_ids)
      if (!kept.contains(id)) lacking.push_back(id);
    if (options.layer_ids == numbers) return;
    if (lacking.size() + numbers.size() == options.layer_ids.size())
      notes.push_back(fmt::format("WARNING: layers {} got no token and are not in the trace; were they recorded?",
                                  ranges_text(lacking)));
    else
      notes.push_back(fmt::format(
          "the data have experts in {} layers from {} to {}, other ones than {} or {} says; the data's numbers are "
          "kept",
          numbers.size(), numbers.front(), numbers.back(), on_command_line("model"), on_command_line("layer-ids")));
    return;
  }
  std::vector<std::int64_t> idle;
  for (std::size_t layer = 0; layer < imported.counts.rows(); ++layer)
    if (std::ranges::find(layers, layer) == layers.end())
      idle.push_back(imported.layer_ids.empty() ? static_cast<std::int64_t>(layer) : imported.layer_ids[layer]);
  if (!idle.empty())
    notes.push_back(fmt::format("layer{} {} got no token (dense, or not recorded) and {} left out",
                                idle.size() > 1 ? "s" : "", ranges_text(idle), idle.size() > 1 ? "were" : "was"));
}

/// Every token passes through every layer: one without tokens in a step was not recorded there.
void note_gaps(const LoadTrace& trace, std::vector<std::string>& notes) {
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::size_t gaps = 0;
    for (std::size_t step = 0; step < trace.step_count(); ++step) gaps += row_count(trace.counts.row(step, layer)) == 0;
    if (gaps > 0 && notes.size() < 64)
      notes.push_back(
          fmt::format("WARNING: layer {} got no token in {} of {} steps in which other layers did; was it "
                      "recorded there?",
                      trace.layer_ids[layer], gaps, trace.step_count()));
  }
}

void note_contradictions(const LoadTrace& trace, std::vector<std::string>& notes) {
  const std::string contradictions = contradictions_of(trace);
  if (!contradictions.empty()) notes.push_back("WARNING: " + contradictions);
}

void check_expert_count(const ImportedCounts& imported, const ImportOptions& options) {
  const Cube<double>& counts = imported.counts;
  if (options.expert_count == 0 || options.expert_count == counts.columns()) return;
  const bool transposed = options.expert_count == counts.rows() || options.expert_count == counts.planes();
  throw UsageError(fmt::format(
      "{}: the data have {} experts a layer, but {} or {} says {}{}", place_of(imported), counts.columns(),
      on_command_line("model"), on_command_line("experts"), options.expert_count,
      transposed ? "; another axis has as many: say the order of the axes with " + on_command_line("axes") : ""));
}

/// Experts of each layer that is kept, as the data or the user say; what isn't one of them must have no tokens.
LayerExperts layer_experts_of(const ImportedCounts& imported, const std::vector<std::size_t>& layers,
                              const ImportOptions& options) {
  const std::size_t width = imported.counts.columns();
  LayerExperts experts;
  for (const std::size_t layer : layers)
    experts.push_back(static_cast<std::int32_t>(experts_in(imported.experts_of_layer, layer, width)));
  if (options.layer_experts.empty()) return experts;
  const LayerExperts& stated = stated_layer_experts(options, layers.size(), width);
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (!imported.experts_of_layer.empty() && stated[i] != experts[i])
      throw UsageError(fmt::format("{}: says {} experts for layer {} of those with experts, but the data have {}",
                                   on_command_line("layer-experts"), stated[i], i, experts[i]));
    for (std::size_t step = 0; step < imported.counts.planes(); ++step)
      if (sum_of(imported.counts.row(step, layers[i]).subspan(static_cast<std::size_t>(stated[i]))) > 0.0)
        throw UsageError(
            fmt::format("{}: says {} experts for layer {} of those with experts, but a later one has tokens",
                        on_command_line("layer-experts"), stated[i], i));
  }
  return stated;
}

/// A column that holds the sum of the others is none of an expert.
void refuse_total(const ImportedCounts& imported) {
  const Cube<double>& counts = imported.counts;
  if (counts.columns() < 4) return;
  for (const std::size_t expert : {counts.columns() - 1, std::size_t{0}}) {
    bool total = true;
    std::size_t used = 0;
    for (std::size_t step = 0; step < counts.planes() && total; ++step)
      for (std::size_t layer = 0; layer < counts.rows() && total; ++layer) {
        const auto row = counts.row(step, layer);
        total = 2.0 * row[expert] == sum_of(row);
        used += row[expert] > 2.0;
      }
    if (total && used > 1)
      throw DataError(
          fmt::format("{}: expert {} gets as much as all others together in every layer: a total, or a shared "
                      "expert ({} 1), but no routed expert; take it out",
                      place_of(imported), expert, on_command_line("fused-shared")));
  }
}

/// Steps' own counts of what totals up from step to step.
void undo_totals(ImportedCounts& imported, const ImportOptions& options, std::vector<std::string>& notes) {
  if (options.cumulative == Cumulative::Yes) {
    if (!imported.has_steps || imported.counts.planes() < 2)
      throw UsageError(place_of(imported) + ": has no steps whose differences " + on_command_line("cumulative") +
                       " could take");
    std::vector<std::size_t> left_out;
    imported.counts = differences_of(imported.counts, left_out);
    notes.push_back(fmt::format("steps are differences of running totals; {} at which the totals begin were left out",
                                counted(left_out.size(), "step")));
    return;
  }
  if (options.cumulative == Cumulative::No || !imported.has_steps || !are_running_totals(imported.counts)) return;
  throw DataError(
      fmt::format("{}: no expert gets less from step to step, as in totals since the recorder began: say {} "
                  "yes to take their differences, or {} no if they are the steps' own counts",
                  place_of(imported), on_command_line("cumulative"), on_command_line("cumulative")));
}

}  // namespace

const LayerExperts& stated_layer_experts(const ImportOptions& options, std::size_t count, std::size_t width) {
  const std::string option = on_command_line("layer-experts");
  if (options.layer_experts.size() != count)
    throw UsageError(fmt::format("{} names {} layers, but {} have experts in the data; give a number for each", option,
                                 options.layer_experts.size(), count));
  if (const auto most = std::ranges::max(options.layer_experts); static_cast<std::size_t>(most) > width)
    throw UsageError(fmt::format("{} says {} experts, but the data have {} at most", option, most, width));
  return options.layer_experts;
}

std::vector<std::int32_t> numbered_layers(std::size_t count, const ImportOptions& options,
                                          std::vector<std::string>& notes) {
  if (options.layer_ids.empty()) {
    std::vector<std::int32_t> ids(count);
    std::iota(ids.begin(), ids.end(), 0);
    notes.push_back("layers are numbered from 0, since the data don't say the model's own numbers; " +
                    on_command_line("model") + " or " + on_command_line("layer-ids") + " can");
    return ids;
  }
  if (options.layer_ids.size() != count)
    throw UsageError(fmt::format("the data have {} layers, but {} or {} names {}", count, on_command_line("model"),
                                 on_command_line("layer-ids"), options.layer_ids.size()));
  return options.layer_ids;
}

LoadTrace trace_of(ImportedCounts imported, const ImportOptions& options, std::vector<std::string>& notes) {
  check_counts(imported);
  notes.insert(notes.end(), imported.notes.begin(), imported.notes.end());
  if (options.tokens > 0 && imported.has_steps)
    throw UsageError(on_command_line("tokens") + " scales aggregates, but these data have a time axis; leave it out");
  drop_shared_experts(imported, options, notes);
  refuse_total(imported);
  check_expert_count(imported, options);
  count_each_token_once(imported, options, notes);
  undo_totals(imported, options, notes);
  std::vector<std::size_t> layers = used_layers(imported);
  const std::vector<std::size_t> steps = used_steps(imported);
  drop_draft_layers(imported, options, layers, notes);
  if (layers.empty() || steps.empty()) throw DataError(place_of(imported) + ": no expert got a token in any step");

  LoadTrace trace;
  trace.model = options.model;
  trace.task = options.task;
  trace.phase = word_of(options.phase);
  trace.top_k = top_k_of(imported, options);
  trace.layer_ids = layer_numbers(imported, layers, options, notes);
  note_layers(imported, layers, trace.layer_ids, options, notes);

  const LayerExperts experts = layer_experts_of(imported, layers, options);
  const auto width = static_cast<std::size_t>(std::ranges::max(experts));
  trace.experts_of_layer = shortest(experts, width);
  trace.counts = Cube<std::uint32_t>(steps.size(), layers.size(), width);
  const double pairs = static_cast<double>(options.tokens) * static_cast<double>(trace.top_k);
  if (pairs > greatest_count) throw UsageError(on_command_line("tokens") + " is more than a step of a trace can have");
  for (std::size_t step = 0; step < steps.size(); ++step) {
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const auto row = imported.counts.row(steps[step], layers[layer]).first(width);
      if (options.tokens > 0 && sum_of(row) > 0.0)
        apportion(row, pairs, trace.counts.row(step, layer));
      else
        copy_counts(row, imported, trace.counts.row(step, layer));
    }
  }
  if (!imported.has_steps)
    notes.push_back(
        "NO TIME AXIS: an aggregate, kept as one step; a mapping found on it balances means only, blind to "
        "experts that are busy together");
  if (steps.size() < imported.counts.planes())
    notes.push_back(fmt::format("{} steps without tokens were left out", imported.counts.planes() - steps.size()));
  trace.tokens_per_step = tokens_per_step(trace, notes);
  note_gaps(trace, notes);
  if (imported.has_steps) note_contradictions(trace, notes);
  return trace;
}

}  // namespace gem
