#include "search/swap_finder.hpp"

#include <algorithm>

namespace gem {
namespace {

// Steps summed between two looks at whether a swap can still win: a few vectors.
constexpr std::size_t chunk_steps = 64;

// How much longer steps take than their floor after a swap, or any number above `allowed` once it is sure to exceed it.
std::int64_t excess(const SwapSteps& steps, const std::int32_t* key_first, const std::int32_t* key_second,
                    std::size_t count, std::int64_t allowed, std::uint64_t& evaluated) {
  std::int64_t sum = 0;
  for (std::size_t begin = 0; begin < count && sum <= allowed; begin += chunk_steps) {
    const std::size_t length = std::min(chunk_steps, count - begin);
    const SwapSteps chunk{steps.load_first + begin, steps.load_second + begin, steps.floor + begin, steps.table_first,
                          steps.table_second};
    sum += swapped_excess(chunk, key_first + begin, key_second + begin, length);
    evaluated += length;
  }
  return sum;
}

}  // namespace

void SwapFinder::gather_straggler_steps(const Placement& placement, std::int32_t first, std::int32_t second) {
  placement.slowest_of_others(first, second, others_);
  floor_of_rest_ = placement.step_cost();
  steps_.clear();
  for (std::int32_t device : {first, second}) {
    const std::vector<std::int32_t>& steps = placement.steps_of_straggler(device);
    steps_.insert(steps_.end(), steps.begin(), steps.end());
  }
  packed_count_ = padded(steps_.size());
  for (std::vector<std::int32_t>* row : {&load_first_, &load_second_, &floor_}) row->assign(packed_count_, 0);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const auto t = static_cast<std::size_t>(steps_[i]);
    load_first_[i] = placement.load(first)[t];
    load_second_[i] = placement.load(second)[t];
    floor_[i] = others_[t];
    floor_of_rest_[t] = INT32_MAX;
  }
}

void SwapFinder::gather_keys(const Placement& placement, std::int32_t device, std::vector<std::int32_t>& rows) const {
  const std::vector<std::int32_t>& experts = placement.experts_of(device);
  rows.assign(experts.size() * packed_count_, 0);
  for (std::size_t slot = 0; slot < experts.size(); ++slot) {
    const std::int32_t* const keys = placement.problem().keys(experts[slot]);
    std::int32_t* const row = rows.data() + slot * packed_count_;
    for (std::size_t i = 0; i < steps_.size(); ++i) row[i] = keys[steps_[i]];
  }
}

std::optional<FoundSwap> SwapFinder::best_swap(const Placement& placement, std::int32_t first, std::int32_t second) {
  const LayerProblem& problem = placement.problem();
  const std::vector<std::int32_t>& experts_first = placement.experts_of(first);
  const std::vector<std::int32_t>& experts_second = placement.experts_of(second);
  work_.candidate_steps += experts_first.size() * experts_second.size() * problem.step_count();
  const std::int64_t promise = placement.promise(first, second);
  if (promise <= 0) return std::nullopt;

  gather_straggler_steps(placement, first, second);
  gather_keys(placement, first, keys_first_);
  gather_keys(placement, second, keys_second_);
  const std::int32_t* const table_first = problem.tables().of(static_cast<std::size_t>(first)).data();
  const std::int32_t* const table_second = problem.tables().of(static_cast<std::size_t>(second)).data();
  const SwapSteps straggling{load_first_.data(), load_second_.data(), floor_.data(), table_first, table_second};
  const SwapSteps rest{placement.load(first), placement.load(second), floor_of_rest_.data(), table_first, table_second};

  std::optional<FoundSwap> best;
  std::int64_t best_gain = 0;
  for (std::size_t i = 0; i < experts_first.size(); ++i)
    for (std::size_t j = 0; j < experts_second.size(); ++j) {
      // Gain over all steps = promise - excess over the floor in straggling steps - excess over the cost in the rest.
      const std::int64_t kept =
          promise - excess(straggling, keys_first_.data() + i * packed_count_, keys_second_.data() + j * packed_count_,
                           packed_count_, promise - best_gain - 1, work_.evaluated_steps);
      if (kept <= best_gain) continue;
      const std::int64_t gain =
          kept - excess(rest, problem.keys(experts_first[i]), problem.keys(experts_second[j]), problem.padded_steps(),
                        kept - best_gain - 1, work_.evaluated_steps);
      if (gain <= best_gain) continue;
      best_gain = gain;
      best = FoundSwap{{experts_first[i], experts_second[j]}, -gain};
    }
  return best;
}

}  // namespace gem
