#include "search/swap_finder.hpp"

#include <algorithm>

namespace gem {
namespace {

// Packed steps come in half vectors: the last whole vector would be half empty on average.
constexpr std::size_t packed(std::size_t steps) {
  return (steps + 7) / 8 * 8;
}

}  // namespace

void SwapFinder::pack_straggler_steps(const Placement& placement, std::int32_t first, std::int32_t second) {
  placement.slowest_of_others(first, second, others_);
  floor_of_rest_ = placement.step_cost();
  steps_.clear();
  for (std::int32_t device : {first, second}) {
    const std::vector<std::int32_t>& steps = placement.steps_of_straggler(device);
    steps_.insert(steps_.end(), steps.begin(), steps.end());
  }
  packed_count_ = packed(steps_.size());
  const LoadRow load_first = placement.load(first), load_second = placement.load(second);
  pack({&load_first, 1}, load_first_);
  pack({&load_second, 1}, load_second_);
  floor_.assign(packed_count_, 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto t = static_cast<std::size_t>(steps_[i]);
    floor_[i] = others_[t];
    floor_of_rest_[t] = INT32_MAX;
  }
}

void SwapFinder::pack(std::span<const LoadRow> rows, Packed& packed) const {
  const auto pack_values = [&](const std::int32_t* LoadRow::*member, std::vector<std::int32_t>& values) {
    values.resize(rows.size() * packed_count_);
    for (std::size_t slot = 0; slot < rows.size(); ++slot) {
      const std::int32_t* const from = rows[slot].*member;
      std::int32_t* const to = values.data() + slot * packed_count_;
      for (std::size_t i = 0; i < steps_.size(); ++i) to[i] = from[steps_[i]];
      std::fill(to + steps_.size(), to + packed_count_, 0);
    }
  };
  pack_values(&LoadRow::key, packed.keys);
  packed.extras.clear();
  if (rows[0].extra != nullptr) pack_values(&LoadRow::extra, packed.extras);
}

void SwapFinder::pack_experts(const Placement& placement, std::int32_t device, Packed& packed) {
  rows_.clear();
  for (const std::int32_t expert : placement.experts_of(device)) rows_.push_back(placement.problem().row(expert));
  pack(rows_, packed);
}

std::optional<FoundSwap> SwapFinder::best_swap(const Placement& placement, std::int32_t first, std::int32_t second) {
  const LayerProblem& problem = placement.problem();
  const std::size_t slots = problem.slots();
  work_.candidate_steps += slots * slots * problem.step_count();
  const std::int64_t promise = placement.promise(first, second);
  if (promise <= 0) return std::nullopt;

  pack_straggler_steps(placement, first, second);
  pack_experts(placement, first, experts_first_);
  pack_experts(placement, second, experts_second_);
  excess_.resize(slots * slots);
  const std::int32_t* const table_first = problem.tables().of(static_cast<std::size_t>(first)).data();
  const std::int32_t* const table_second = problem.tables().of(static_cast<std::size_t>(second)).data();
  all_swapped_excesses({load_first_.row(), load_second_.row(), floor_.data(), table_first, table_second},
                       experts_first_.row(), experts_second_.row(), slots, packed_count_, excess_.data());
  work_.evaluated_steps += slots * slots * packed_count_;

  candidates_.clear();
  const auto swap_of = [&](std::size_t pair) {
    return Swap{placement.experts_of(first)[pair / slots], placement.experts_of(second)[pair % slots]};
  };
  for (std::size_t pair = 0; pair < excess_.size(); ++pair)
    if (promise > excess_[pair] && placement.may_apply(swap_of(pair)))
      candidates_.push_back({promise - excess_[pair], pair});
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.gain != b.gain ? a.gain > b.gain : a.pair < b.pair;
  });

  const SwapSteps rest{placement.load(first), placement.load(second), floor_of_rest_.data(), table_first, table_second};
  Candidate best{0, 0};
  for (const Candidate& candidate : candidates_) {
    if (candidate.gain < best.gain) break;
    const Swap swap = swap_of(candidate.pair);
    const std::int64_t gain =
        candidate.gain - swapped_excess(rest, problem.row(swap.first), problem.row(swap.second), problem.padded_steps(),
                                        candidate.gain - std::max<std::int64_t>(best.gain, 1), work_.evaluated_steps);
    if (gain > best.gain || (gain == best.gain && gain > 0 && candidate.pair < best.pair))
      best = {gain, candidate.pair};
  }
  if (best.gain == 0) return std::nullopt;
  return FoundSwap{swap_of(best.pair), -best.gain};
}

}  // namespace gem
