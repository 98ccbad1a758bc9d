#include "search/merged_steps.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>

namespace gem {
namespace {

// Calls `visit` with the values [padded step] of every expert, plane and stage, and of the floors.
template <class Visit>
void for_each_row(const LayerProblem& problem, const Visit& visit) {
  const std::size_t steps = problem.padded_steps();
  for (std::size_t e = 0; e < problem.expert_count(); ++e) {
    const LoadRow row = problem.row(static_cast<std::int32_t>(e));
    for (std::size_t at = 0; at < problem.key_count(); at += steps) visit(row.key + at);
    if (row.added == nullptr) continue;
    for (std::size_t at = 0; at < problem.column_count(); at += steps) visit(row.added + at);
  }
  for (std::size_t at = 0; at < problem.column_count(); at += steps) visit(problem.floor().data() + at);
}

// Equal steps have equal fingerprints.
std::vector<std::uint64_t> fingerprints_of(const LayerProblem& problem) {
  std::vector<std::uint64_t> prints(problem.step_count(), 0);
  for_each_row(problem, [&](const std::int32_t* values) {
    for (std::size_t t = 0; t < prints.size(); ++t)
      prints[t] = (prints[t] + static_cast<std::uint32_t>(values[t]) + 1) * 0x9e3779b97f4a7c15U;
  });
  return prints;
}

bool are_equal(const LayerProblem& problem, std::size_t first, std::size_t second) {
  bool equal = true;
  for_each_row(problem, [&](const std::int32_t* values) { equal = equal && values[first] == values[second]; });
  return equal;
}

// Steps that differ, the most frequent first, and how often each is there.
struct Distinct {
  std::vector<std::size_t> steps;
  std::vector<std::int32_t> counts;
  std::vector<std::size_t> index_of;  // [step of the problem]
};

Distinct distinct_steps(const LayerProblem& problem) {
  const std::vector<std::uint64_t> prints = fingerprints_of(problem);
  std::map<std::uint64_t, std::size_t> index_of_print;
  Distinct found{{}, {}, std::vector<std::size_t>(prints.size())};
  for (std::size_t t = 0; t < prints.size(); ++t) {
    const auto [entry, is_new] = index_of_print.try_emplace(prints[t], found.steps.size());
    found.index_of[t] = entry->second;
    if (!is_new && are_equal(problem, found.steps[entry->second], t)) {
      ++found.counts[entry->second];
      continue;
    }
    found.index_of[t] = found.steps.size();
    found.steps.push_back(t);
    found.counts.push_back(1);
  }
  std::vector<std::size_t> order(found.steps.size()), place(order.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return found.counts[a] > found.counts[b]; });
  Distinct sorted{{}, {}, std::move(found.index_of)};
  for (const std::size_t index : order) {
    place[index] = sorted.steps.size();
    sorted.steps.push_back(found.steps[index]);
    sorted.counts.push_back(found.counts[index]);
  }
  for (std::size_t& index : sorted.index_of) index = place[index];
  return sorted;
}

// Of values whose last axis is the padded steps, those of some steps, padded anew with zeros.
std::vector<std::int32_t> values_of_steps(const std::int32_t* values, std::size_t count, std::size_t padded_steps,
                                          const std::vector<std::size_t>& steps) {
  std::vector<std::int32_t> selected(count / padded_steps * padded(steps.size()), 0);
  auto* to = selected.data();
  for (const std::int32_t* row = values; row < values + count; row += padded_steps, to += padded(steps.size()))
    for (std::size_t i = 0; i < steps.size(); ++i) to[i] = row[steps[i]];
  return selected;
}

}  // namespace

MergedSteps merge_equal_steps(const LayerProblem& problem) {
  Distinct distinct = distinct_steps(problem);
  // An expert's rows follow the last one's.
  const LoadRow rows = problem.row(0);
  const auto of_steps = [&](const std::int32_t* values, std::size_t count) {
    return values == nullptr ? std::vector<std::int32_t>{}
                             : values_of_steps(values, count, problem.padded_steps(), distinct.steps);
  };
  const auto of_columns = [&](const std::vector<std::int32_t>& values) {
    return values.empty() ? values : of_steps(values.data(), values.size());
  };
  MergedSteps merged{problem, {}, {}};
  static_cast<LayerCost&>(merged.problem) = LayerCost(
      std::shared_ptr<const CostTables>(std::shared_ptr<const void>{}, &problem.tables()), problem.expert_count(),
      distinct.steps.size(), of_steps(rows.key, problem.expert_count() * problem.key_count()),
      of_steps(rows.added, problem.expert_count() * problem.column_count()), of_columns(problem.max_saved()));
  merged.problem.set_floor(of_columns(problem.floor()));
  merged.weights.assign(merged.problem.column_count(), 1);
  for (std::size_t stage = 0; stage < problem.stage_count(); ++stage)
    std::ranges::copy(distinct.counts,
                      merged.weights.begin() + static_cast<std::ptrdiff_t>(merged.problem.first_column(stage)));
  merged.step_of = std::move(distinct.index_of);
  return merged;
}

}  // namespace gem
