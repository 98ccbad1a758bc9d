#include "interchange/imported_counts.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

void add_physical(std::span<const double> physical, std::span<const double> physical_to_logical,
                  std::span<double> logical, const std::string& origin) {
  if (physical.size() != physical_to_logical.size())
    throw DataError(fmt::format("{}: {} slots have counts, but the map has {} slots", origin, physical.size(),
                                physical_to_logical.size()));
  for (std::size_t slot = 0; slot < physical.size(); ++slot) {
    const double expert = physical_to_logical[slot];
    if (!(expert >= 0.0 && expert < static_cast<double>(logical.size())))
      throw DataError(fmt::format("{}: slot {} holds expert {:g}, but experts are 0 to {}", origin, slot, expert,
                                  logical.size() - 1));
    logical[static_cast<std::size_t>(expert)] += physical[slot];
  }
}

std::size_t logical_expert_count(std::span<const double> physical_to_logical, std::size_t slot_count,
                                 const std::string& origin) {
  double greatest = -1.0;
  for (const double expert : physical_to_logical) {
    if (!(expert >= 0.0 && expert < static_cast<double>(slot_count)))
      throw DataError(fmt::format("{}: a slot holds expert {:g}, but {} slots hold at most as many experts, from 0",
                                  origin, expert, slot_count));
    greatest = std::max(greatest, expert);
  }
  if (greatest < 0.0) throw DataError(origin + ": the map from slots to experts is empty");
  return static_cast<std::size_t>(greatest) + 1;
}

void CountCollector::add(std::int64_t step, std::int32_t layer, std::span<const double> experts) {
  std::vector<double>& row = rows_[{step, layer}];
  const std::size_t expected = rows_.begin()->second.empty() ? experts.size() : rows_.begin()->second.size();
  if (experts.size() != expected || experts.empty())
    throw DataError(fmt::format("{}: layer {} of step {} has {} experts, but others have {}", origin_, layer, step,
                                experts.size(), expected));
  row.resize(expected, 0.0);
  for (std::size_t expert = 0; expert < expected; ++expert) row[expert] += experts[expert];
}

void CountCollector::finish(ImportedCounts& imported) const {
  if (rows_.empty()) throw DataError(origin_ + ": holds no counts");
  std::set<std::int64_t> steps;
  std::set<std::int32_t> layers;
  for (const auto& [key, row] : rows_) {
    steps.insert(key.first);
    layers.insert(key.second);
  }
  if (static_cast<double>(steps.size()) * static_cast<double>(layers.size()) >
      64.0 * static_cast<double>(rows_.size()) + 4096.0)
    throw DataError(fmt::format("{}: names {} steps and {} layers, but holds only {} of their pairs; it is damaged",
                                origin_, steps.size(), layers.size(), rows_.size()));
  const std::size_t expert_count = rows_.begin()->second.size();
  imported.layer_ids.assign(layers.begin(), layers.end());
  imported.counts = Cube<double>(steps.size(), layers.size(), expert_count);
  std::map<std::int64_t, std::size_t> step_index;
  for (const std::int64_t step : steps) step_index.emplace(step, step_index.size());
  for (const auto& [key, row] : rows_) {
    const auto layer =
        static_cast<std::size_t>(std::ranges::lower_bound(imported.layer_ids, key.second) - imported.layer_ids.begin());
    std::ranges::copy(row, imported.counts.row(step_index.at(key.first), layer).begin());
  }
}

ImportedCounts counts_of_array(const NumberArray& array, const std::string& origin) {
  if (array.extents.size() != 2 && array.extents.size() != 3)
    throw DataError(origin + ": has extents " + extents_text(array.extents) +
                    ", but counts are [step, layer, expert], or [layer, expert] without a time axis");
  ImportedCounts imported;
  imported.source = "counts " + extents_text(array.extents);
  imported.has_steps = array.extents.size() == 3;
  const std::size_t steps = imported.has_steps ? array.extents[0] : 1;
  const auto extents = std::span(array.extents).last(2);
  imported.counts = Cube<double>(steps, extents[0], extents[1]);
  imported.counts.values() = array.values;
  return imported;
}

}  // namespace gem
