#include "interchange/imported_counts.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"

namespace gem {
namespace {

template <class T>
std::vector<std::int64_t> numbers_of_set(const std::set<T>& numbers) {
  return {numbers.begin(), numbers.end()};
}

template <class T>
std::set<T> difference(const std::set<T>& from, const std::set<T>& taken) {
  std::set<T> left;
  std::ranges::set_difference(from, taken, std::inserter(left, left.end()));
  return left;
}

template <class T>
std::set<T> common(const std::vector<std::set<T>>& sets) {
  std::set<T> shared = sets.front();
  for (const std::set<T>& set : sets) {
    std::set<T> both;
    std::ranges::set_intersection(shared, set, std::inserter(both, both.end()));
    shared = std::move(both);
  }
  return shared;
}

template <class T>
std::set<T> united(const std::vector<std::set<T>>& sets) {
  std::set<T> all;
  for (const std::set<T>& set : sets) all.insert(set.begin(), set.end());
  return all;
}

/// Stages of a pipeline record layers of their own: any two parts have the same layers, or none in common.
bool are_stages(const std::vector<std::set<std::int32_t>>& layers) {
  for (const auto& a : layers)
    for (const auto& b : layers)
      if (a != b && !common(std::vector{a, b}).empty()) return false;
  return true;
}

}  // namespace

void add_physical(std::span<const double> physical, std::span<const double> physical_to_logical,
                  std::span<double> logical, const std::string& origin) {
  if (physical.size() != physical_to_logical.size())
    throw DataError(fmt::format("{}: {} slots have counts, but the map has {} slots", origin, physical.size(),
                                physical_to_logical.size()));
  for (std::size_t slot = 0; slot < physical.size(); ++slot) {
    const double expert = physical_to_logical[slot];
    if (expert == -1.0 && physical[slot] == 0.0) continue;  // an empty slot
    if (!(expert >= 0.0 && expert < static_cast<double>(logical.size())))
      throw DataError(fmt::format("{}: slot {} holds expert {:g} and got {:g} tokens, but experts are 0 to {}", origin,
                                  slot, expert, physical[slot], logical.size() - 1));
    logical[static_cast<std::size_t>(expert)] += physical[slot];
  }
}

std::size_t logical_expert_count(std::span<const double> physical_to_logical, std::size_t slot_count,
                                 const std::string& origin) {
  double largest = -1.0;
  for (const double expert : physical_to_logical) {
    if (!(expert >= -1.0 && expert < static_cast<double>(slot_count)))
      throw DataError(fmt::format("{}: a slot holds expert {:g}, but {} slots hold at most as many experts, from 0",
                                  origin, expert, slot_count));
    largest = std::max(largest, expert);
  }
  if (largest < 0.0) throw DataError(origin + ": the map from slots to experts is empty");
  return static_cast<std::size_t>(largest) + 1;
}

void CountCollector::begin_part(const std::string& name) {
  part_ = static_cast<std::size_t>(std::ranges::find(parts_, name, &Part::name) - parts_.begin());
  if (part_ == parts_.size()) parts_.push_back({name, {}});
}

void CountCollector::add(std::int64_t step, std::int32_t layer, std::span<const double> experts) {
  if (parts_.empty()) begin_part("");
  if (experts.empty()) throw DataError(fmt::format("{}: layer {} of step {} has no expert", origin_, layer, step));
  std::vector<double>& row = parts_[part_].rows[{step, layer}];
  row.resize(std::max(row.size(), experts.size()), 0.0);
  for (std::size_t expert = 0; expert < experts.size(); ++expert) row[expert] += experts[expert];
}

void CountCollector::drop_repeated_parts(std::vector<std::string>& notes) {
  for (std::size_t later = parts_.size(); later-- > 1;) {
    const auto same = std::ranges::find(parts_.begin(), parts_.begin() + static_cast<std::ptrdiff_t>(later),
                                        parts_[later].rows, &Part::rows);
    if (same == parts_.begin() + static_cast<std::ptrdiff_t>(later)) continue;
    notes.push_back(
        fmt::format("{} holds the same counts as {} and was left out: a file given twice, or ranks that all "
                    "count every token (no attention data parallelism)",
                    parts_[later].name, same->name));
    parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(later));
  }
}

void CountCollector::choose_expert_count(const ImportOptions& options, std::vector<std::string>& notes) {
  std::map<std::size_t, std::set<std::int32_t>> layers;  // by number of experts
  for (const Part& part : parts_)
    for (const auto& [key, row] : part.rows) layers[row.size()].insert(key.second);
  if (layers.size() < 2) return;
  std::string found;
  for (const auto& [experts, of] : layers)
    found += fmt::format("{}{} in layer {}", found.empty() ? "" : ", ", experts, ranges_text(numbers_of_set(of)));
  if (!options.layer_experts.empty() || !layers.contains(options.expert_count)) {
    notes.push_back(fmt::format("layers have different numbers of experts ({}), and each keeps its own", found));
    return;
  }
  std::set<std::int32_t> left_out;
  for (const auto& [experts, of] : layers)
    if (experts != options.expert_count) left_out.insert(of.begin(), of.end());
  erase_rows({}, left_out);
  notes.push_back(fmt::format(
      "layers have different numbers of experts ({}): those with other than {} were left out; {} keeps them", found,
      options.expert_count, on_command_line("layer-experts")));
}

LayerExperts CountCollector::experts_of_layers(const std::vector<std::int32_t>& layer_ids) const {
  LayerExperts experts(layer_ids.size(), 0);
  for (const Part& part : parts_)
    for (const auto& [key, row] : part.rows) {
      std::int32_t& known =
          experts[static_cast<std::size_t>(std::ranges::lower_bound(layer_ids, key.second) - layer_ids.begin())];
      if (known == 0) known = static_cast<std::int32_t>(row.size());
      if (static_cast<std::size_t>(known) != row.size())
        throw DataError(fmt::format(
            "{}: layer {} has {} experts in one step and {} in another; give files in which each step has all of them",
            origin_, key.second, known, row.size()));
    }
  return experts;
}

void CountCollector::erase_rows(const std::set<std::int64_t>& steps, const std::set<std::int32_t>& layers) {
  for (Part& part : parts_)
    std::erase_if(part.rows, [&](const auto& row) {
      return steps.contains(row.first.first) || layers.contains(row.first.second);
    });
}

void CountCollector::drop_partial(const ImportOptions& options, std::vector<std::string>& notes) {
  std::vector<std::set<std::int64_t>> steps(parts_.size());
  std::vector<std::set<std::int32_t>> layers(parts_.size());
  for (std::size_t part = 0; part < parts_.size(); ++part)
    for (const auto& [key, row] : parts_[part].rows) {
      steps[part].insert(key.first);
      layers[part].insert(key.second);
    }
  const std::set<std::int64_t> partial_steps = difference(united(steps), common(steps));
  std::set<std::int32_t> partial_layers;
  if (!sparse_ && !are_stages(layers)) partial_layers = difference(united(layers), common(layers));
  if (partial_steps.empty() && partial_layers.empty()) return;
  std::string what;
  if (!partial_steps.empty())
    what = fmt::format("{} of {} steps ({})", partial_steps.size(), united(steps).size(),
                       ranges_text(numbers_of_set(partial_steps)));
  if (!partial_layers.empty())
    what += fmt::format("{}layers {}", what.empty() ? "" : " and ", ranges_text(numbers_of_set(partial_layers)));
  if (options.keep_partial) {
    notes.push_back(
        fmt::format("PARTIAL SUMS: {} were not recorded by all {} ranks or files, but kept", what, parts_.size()));
    return;
  }
  if (common(steps).empty() || partial_layers.size() == united(layers).size())
    throw DataError(fmt::format(
        "{}: nothing was recorded by all {} ranks or files ({} are missing somewhere); {} sums what there is", origin_,
        parts_.size(), what, on_command_line("keep-partial")));
  erase_rows(partial_steps, partial_layers);
  notes.push_back(fmt::format("{} were not recorded by all {} ranks or files and were left out ({} keeps them)", what,
                              parts_.size(), on_command_line("keep-partial")));
}

void CountCollector::finish(ImportedCounts& imported, const ImportOptions& options) {
  std::erase_if(parts_, [](const Part& part) { return part.rows.empty(); });
  if (parts_.empty()) throw DataError(origin_ + ": holds no counts");
  drop_repeated_parts(imported.notes);
  choose_expert_count(options, imported.notes);
  drop_partial(options, imported.notes);

  std::set<std::int64_t> steps;
  std::set<std::int32_t> layers;
  std::size_t rows = 0;
  for (const Part& part : parts_)
    for (const auto& [key, row] : part.rows) {
      steps.insert(key.first);
      layers.insert(key.second);
      ++rows;
    }
  if (rows == 0) throw DataError(origin_ + ": holds no counts");
  if (static_cast<double>(steps.size()) * static_cast<double>(layers.size()) >
      64.0 * static_cast<double>(rows) + 4096.0)
    throw DataError(fmt::format("{}: names {} steps and {} layers, but holds only {} of their pairs; it is damaged",
                                origin_, steps.size(), layers.size(), rows));
  imported.layer_ids.assign(layers.begin(), layers.end());
  const std::vector<std::int64_t> order(steps.begin(), steps.end());
  const LayerExperts experts = experts_of_layers(imported.layer_ids);
  const auto width = static_cast<std::size_t>(std::ranges::max(experts));
  imported.experts_of_layer = shortest(experts, width);
  imported.counts = Cube<double>(steps.size(), layers.size(), width);
  for (const Part& part : parts_)
    for (const auto& [key, row] : part.rows) {
      const auto step = static_cast<std::size_t>(std::ranges::lower_bound(order, key.first) - order.begin());
      const auto layer = static_cast<std::size_t>(std::ranges::lower_bound(imported.layer_ids, key.second) -
                                                  imported.layer_ids.begin());
      const auto sum = imported.counts.row(step, layer);
      for (std::size_t expert = 0; expert < row.size(); ++expert) sum[expert] += row[expert];
    }
}

void check_ranks(const std::set<std::int64_t>& ranks, const ImportOptions& options, const std::string& origin,
                 std::vector<std::string>& notes) {
  if (ranks.empty()) return;
  const auto last = std::max<std::int64_t>(*ranks.rbegin() + 1, static_cast<std::int64_t>(options.ranks));
  std::set<std::int64_t> missing;
  for (std::int64_t rank = 0; rank < last && missing.size() < 4096; ++rank)
    if (!ranks.contains(rank)) missing.insert(rank);
  if (!missing.empty()) {
    const std::string what = fmt::format("of ranks 0 to {}, {} {} missing", last - 1,
                                         ranges_text(numbers_of_set(missing)), missing.size() > 1 ? "are" : "is");
    if (!options.keep_partial)
      throw DataError(origin + ": " + what +
                      ", so that sums over ranks would be partial; give the files of all ranks (" +
                      on_command_line("keep-partial") + " takes the others alone)");
    notes.push_back("PARTIAL SUMS: " + what);
  } else if (options.ranks != 0 && ranks.size() > options.ranks) {
    throw UsageError(fmt::format("{}: there are files of {} ranks, but {} says {}", origin, ranks.size(),
                                 on_command_line("ranks"), options.ranks));
  } else if (ranks.size() == 1 && options.ranks == 0) {
    notes.push_back(
        "these are counts of rank 0 alone: whole only if it saw every token (no attention data "
        "parallelism); " +
        on_command_line("ranks") + " N checks that files of all N ranks are there");
  }
}

}  // namespace gem
