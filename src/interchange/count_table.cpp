#include "interchange/count_table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/column_roles.hpp"
#include "interchange/import.hpp"

namespace gem {
namespace {

/// The place of a text among those that came before, at the end if it is new.
std::size_t place_of(const std::string& text, std::vector<std::string>& all,
                     std::unordered_map<std::string, std::size_t>& places) {
  const auto [found, added] = places.emplace(text, all.size());
  if (added) all.push_back(text);
  return found->second;
}

std::optional<double> number_in_text(const std::string& text) {
  try {
    return parse_number(text, "");
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

}  // namespace

CountTable::Key CountTable::key_of(const Place& place) {
  layer_count_ = std::max(layer_count_, static_cast<std::size_t>(place.layer) + 1);
  return {place_of(place.part, parts_, part_places_), place_of(place.step, steps_, step_places_), place.layer,
          place_of(place.model, models_, model_places_)};
}

/// Counts of 0 may be left out, but not nearly all of them: that would only take memory.
void CountTable::widen(Row& row, std::size_t experts) {
  if (experts <= row.experts.size()) return;
  places_ += experts - row.experts.size();
  if (places_ > 1024 * counts_ + (std::size_t{1} << 22))
    throw DataError(fmt::format("{}: {} counts are too few for {} pairs of step and layer with {} experts", origin_,
                                counts_, rows_.size(), experts));
  row.experts.resize(experts, 0.0);
}

bool CountTable::add_row(const Place& place, std::span<const double> experts) {
  if (experts.empty())
    throw DataError(fmt::format("{}: layer {} of step {} has no expert", origin_, place.layer, place.step));
  const auto [found, added] = rows_.try_emplace(key_of(place));
  Row& row = found->second;
  counts_ += experts.size() - static_cast<std::size_t>(std::ranges::count(experts, 0.0)) + 1;
  widen(row, experts.size());
  for (std::size_t expert = 0; expert < experts.size(); ++expert) row.experts[expert] += experts[expert];
  return added;
}

bool CountTable::add_count(const Place& place, std::size_t expert, double count) {
  Row& row = rows_[key_of(place)];
  widen(row, expert + 1);
  if (expert >= row.seen.size()) row.seen.resize(expert + 1, false);
  const bool added = !row.seen[expert];
  row.seen[expert] = true;
  row.experts[expert] += count;
  first_expert_ = std::min(first_expert_, expert);
  named_experts_ = std::max(named_experts_, expert + 1);
  ++counts_;
  return added;
}

std::vector<std::int64_t> CountTable::step_numbers(std::vector<std::string>& notes) const {
  std::vector<std::int64_t> numbers;
  for (const std::string& step : steps_)
    if (const auto number = whole_number_in(step)) numbers.push_back(*number);
  const std::set<std::int64_t> distinct(numbers.begin(), numbers.end());
  if (distinct.size() == steps_.size()) return numbers;
  // Times and other texts: in the order of the numbers, else of the file.
  std::vector<std::size_t> order(steps_.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<double> values;
  for (const std::string& step : steps_)
    if (const auto value = number_in_text(step)) values.push_back(*value);
  if (values.size() == steps_.size())
    std::ranges::stable_sort(order, {}, [&](std::size_t step) { return values[step]; });
  numbers.assign(steps_.size(), 0);
  for (std::size_t at = 0; at < order.size(); ++at) numbers[order[at]] = static_cast<std::int64_t>(at);
  notes.push_back(fmt::format("steps are told by '{}' and the like, and are numbered in {}", steps_[0].substr(0, 40),
                              values.size() == steps_.size() ? "their order" : "the order of the file"));
  return numbers;
}

/// A step that lacks layers which most steps have was not recorded whole; nor was the last one if its layers alone
/// count different numbers of tokens, as where the recorder was killed.
void CountTable::drop_cut_steps(const ImportOptions& options, std::vector<std::string>& notes) {
  if (steps_.size() < 3 || options.keep_partial) return;
  std::map<std::size_t, std::map<std::int32_t, double>> sums;  // by step and layer, over all parts
  std::map<std::int32_t, std::size_t> steps_with;              // by layer
  for (const auto& [key, row] : rows_)
    sums[std::get<1>(key)][std::get<2>(key)] += std::accumulate(row.experts.begin(), row.experts.end(), 0.0);
  for (const auto& [step, layers] : sums)
    for (const auto& [layer, sum] : layers) ++steps_with[layer];
  std::set<std::size_t> cut;
  bool agree = named_experts_ > 0;
  const auto differ = [](const std::map<std::int32_t, double>& layers) {
    return std::ranges::any_of(layers, [&](const auto& sum) { return sum.second != layers.begin()->second; });
  };
  for (const auto& [step, layers] : sums) {
    for (const auto& [layer, steps] : steps_with)
      if (2 * steps > sums.size() && !layers.contains(layer)) cut.insert(step);
    agree = agree && (step + 1 == steps_.size() || !differ(layers));
  }
  const std::size_t last = steps_.size() - 1;
  const bool lacks = !cut.empty();
  if (!lacks && agree && sums.contains(last) && differ(sums[last])) cut.insert(last);
  if (cut.empty() || 2 * cut.size() > sums.size()) return;
  std::erase_if(rows_, [&](const auto& row) { return cut.contains(std::get<1>(row.first)); });
  const bool one = cut.size() == 1;
  notes.push_back(fmt::format(
      "{} ({}{}) {} not recorded whole ({}) and {} left out ({} keeps {})", counted(cut.size(), "step"),
      steps_[*cut.begin()].substr(0, 40), one ? "" : ", ...", one ? "was" : "were",
      lacks ? "layers lack that most steps have" : "the last one, whose layers count different numbers of tokens",
      one ? "was" : "were", on_command_line("keep-partial"), one ? "it" : "them"));
}

/// What ranks or files counted must be of the same layers and experts to be added.
void CountTable::check_parts(bool numbered_layers) const {
  if (parts_.size() < 2) return;
  std::vector<std::size_t> layers(parts_.size(), 0);
  std::map<std::pair<std::size_t, std::int32_t>, double> total;
  std::map<std::size_t, std::set<double>> sums_of_step;
  std::map<std::pair<std::size_t, std::size_t>, std::set<double>> sums_of_part;
  std::vector<std::set<std::size_t>> experts(parts_.size());
  for (const auto& [key, row] : rows_) {
    const auto [part, step, layer, model] = key;
    layers[part] = std::max(layers[part], static_cast<std::size_t>(layer) + 1);
    const double sum = std::accumulate(row.experts.begin(), row.experts.end(), 0.0);
    total[{step, layer}] += sum;
    sums_of_part[{part, step}].insert(sum);
    for (std::size_t expert = 0; expert < row.experts.size(); ++expert)
      if (row.experts[expert] > 0.0) experts[part].insert(expert);
  }
  if (!numbered_layers)
    for (std::size_t part = 1; part < parts_.size(); ++part)
      if (layers[part] != layers[0])
        throw DataError(
            fmt::format("{}: '{}' has {} layers, but '{}' has {}, and nothing says which layers they are, as "
                        "where ranks hold stages of a pipeline; give the layers' numbers, as members layer_3",
                        origin_, parts_[part], layers[part], parts_[0], layers[0]));
  for (const auto& [key, sum] : total) sums_of_step[key.first].insert(sum);
  const auto all_alike = [](const auto& sums) {
    return std::ranges::all_of(sums, [](const auto& of) { return of.second.size() == 1; });
  };
  const bool same_experts = std::ranges::all_of(experts, [&](const auto& own) { return own == experts[0]; });
  if (total.size() >= sums_of_step.size() + 3 && same_experts && all_alike(sums_of_step) && !all_alike(sums_of_part))
    throw DataError(
        fmt::format("{}: layers of a step have the same number of tokens over all ranks or files together, "
                    "but not in each: each holds other experts, which have the same numbers here; number the "
                    "experts over all of them, from 0",
                    origin_));
}

/// Every token passes through every layer, so that a step has them all.
void CountTable::check_steps(const ImportOptions& options) const {
  if (steps_.size() < 2) return;
  std::map<std::pair<std::size_t, std::int32_t>, std::size_t> pairs;  // experts that a step and layer names
  std::set<std::int32_t> layers;
  std::set<std::size_t> steps;
  for (const auto& [key, row] : rows_) {
    steps.insert(std::get<1>(key));
    pairs[{std::get<1>(key), std::get<2>(key)}] +=
        row.experts.size() - static_cast<std::size_t>(std::ranges::count(row.experts, 0.0));
    layers.insert(std::get<2>(key));
  }
  const auto few = static_cast<std::size_t>(
      std::ranges::count_if(pairs, [&](const auto& pair) { return pair.second > 0 && pair.second < options.top_k; }));
  const std::size_t all = steps.size() * layers.size();
  if (2 * pairs.size() >= all && 2 * few <= pairs.size()) return;
  throw DataError(fmt::format(
      "{}: has {} steps ('{}', '{}', ...) and {} layers, but {}: what was taken for the step is none; say which column "
      "is with {}, as step=NAME or ignore=NAME",
      origin_, steps_.size(), steps_[0].substr(0, 40), steps_[1].substr(0, 40), layers.size(),
      2 * pairs.size() < all
          ? fmt::format("only {} of their {} pairs, while every token passes through every layer", pairs.size(), all)
          : fmt::format("in {} of {} pairs of step and layer fewer experts than the {} of a token", few, pairs.size(),
                        options.top_k),
      on_command_line("columns")));
}

/// The main model has the most layers; a draft model has one or a few.
void CountTable::choose_model(std::vector<std::string>& notes) {
  std::vector<std::set<std::int32_t>> layers(models_.size());
  for (const auto& [key, row] : rows_) layers[std::get<3>(key)].insert(std::get<2>(key));
  std::size_t main = 0;
  for (std::size_t model = 1; model < models_.size(); ++model) {
    if (layers[model].size() == layers[main].size())
      throw DataError(
          fmt::format("{}: has counts of '{}' and '{}', with as many layers each; make a file of each model", origin_,
                      models_[main].substr(0, 40), models_[model].substr(0, 40)));
    if (layers[model].size() > layers[main].size()) main = model;
  }
  for (std::size_t model = 0; model < models_.size(); ++model)
    if (model != main)
      notes.push_back(fmt::format(
          "two models are in one table: '{}' with {} layers was read, and '{}' with {} left out",
          models_[main].substr(0, 40), layers[main].size(), models_[model].substr(0, 40), layers[model].size()));
  std::erase_if(rows_, [&](const auto& row) { return std::get<3>(row.first) != main; });
}

/// Experts are numbered from 0; where nobody names expert 0, the numbers may begin at 1.
void CountTable::check_experts(const ImportOptions& options) const {
  if (first_expert_ != 1 || named_experts_ < 5 || options.expert_count >= named_experts_) return;
  throw DataError(
      fmt::format("{}: names experts 1 to {}, but never 0, so that they may be numbered from 1: number them "
                  "from 0, or say {} N if expert 0 was idle",
                  origin_, named_experts_ - 1, on_command_line("experts")));
}

/// Ranks that number their own experts from 0 would be summed over different experts.
void CountTable::check_local_experts(const ImportOptions& options) const {
  if (named_experts_ == 0 || parts_.size() < 2 || options.expert_count == 0) return;
  if (named_experts_ * parts_.size() == options.expert_count)
    throw DataError(
        fmt::format("{}: {} ranks have experts 0 to {} each, and the model has {}: these are numbers within a rank, "
                    "which can't be summed; number the experts from 0 to {} over all ranks",
                    origin_, parts_.size(), named_experts_ - 1, options.expert_count, options.expert_count - 1));
}

void CountTable::finish(ImportedCounts& imported, bool numbered_layers, const ImportOptions& options) {
  if (rows_.empty()) throw DataError(origin_ + ": holds no counts");
  if (models_.size() > 1) choose_model(imported.notes);
  check_experts(options);
  check_parts(numbered_layers);
  check_local_experts(options);
  check_steps(options);
  const std::vector<std::int64_t> numbers = step_numbers(imported.notes);
  drop_cut_steps(options, imported.notes);
  const std::size_t width = std::max(named_experts_, named_experts_ > 0 ? options.expert_count : 0);
  if (named_experts_ > 0 && rows_.size() * width > 1024 * counts_ + 65536)
    throw DataError(fmt::format("{}: {} counts are too few for {} pairs of step and layer with {} experts", origin_,
                                counts_, rows_.size(), width));
  CountCollector collector(origin_);
  if (named_experts_ > 0) collector.allow_missing_layers();
  for (const auto& [key, row] : rows_) {
    const auto [part, step, layer, model] = key;
    collector.begin_part(parts_[part]);
    if (row.seen.empty()) {
      collector.add(numbers[step], layer, row.experts);
    } else {
      std::vector<double> experts = row.experts;
      experts.resize(std::max(experts.size(), width), 0.0);
      collector.add(numbers[step], layer, experts);
    }
  }
  collector.finish(imported, options);
  if (named_experts_ > 0 && options.expert_count == 0)
    imported.notes.push_back(
        fmt::format("{} experts, from the largest number in the file: say it with {} or {} if there are more", width,
                    on_command_line("model"), on_command_line("experts")));
}

}  // namespace gem
