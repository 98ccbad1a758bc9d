#include <algorithm>
#include <span>
#include <utility>

#include "search/moves.hpp"

namespace gem {
namespace {

// Packed columns come in half vectors: the last whole vector would be half empty on average.
constexpr std::size_t half_vector = 8;
constexpr std::size_t packed(std::size_t columns) {
  return (columns + half_vector - 1) / half_vector * half_vector;
}

/// Two experts of two devices change places. Not all columns are summed: a swap can gain only in columns whose
/// straggler is one of the two, and most of what it can gain in a part of these. So for all swaps the columns come
/// first in which the most can be gained: a swap that leaves more there than can be gained at all is judged no further.
/// Then, the most promising swap first, the other columns while the swap still beats the best so far.
class SwapMove : public Move {
 public:
  std::string_view name() const override { return "swap"; }
  std::optional<FoundMove> evaluate(const Placement& placement, std::int32_t first, std::int32_t second,
                                    std::int64_t to_beat) override;

 private:
  // What all swaps leave in the columns in which the most can be gained, one after the other, until few swaps leave
  // less than `enough`; how many these are.
  void list_swap_columns(const Placement& placement, std::int32_t first, std::int32_t second);
  std::size_t sum_plain(const Placement& placement, std::int32_t first, std::int32_t second, std::int64_t enough);
  // The same of placements that aren't plain, in half of the columns at once.
  void choose_columns(const Placement& placement, std::int32_t first, std::int32_t second);
  void pack_columns(const Placement& placement, std::int32_t first, std::int32_t second);
  // What all swaps leave in the chosen columns, which are then done with.
  void sum_packed(const Placement& placement, std::int32_t first, std::int32_t second);
  // Loads of a device, keys [plane, packed column], or of its experts, [slot, plane, packed column]; no `added` where
  // nothing is added.
  struct Packed {
    std::vector<std::int32_t> keys, added;
    LoadRow row() const { return {keys.data(), added.empty() ? nullptr : added.data()}; }
  };
  void pack(const LayerProblem& problem, std::span<const LoadRow> rows, Packed& packed) const;
  void pack_experts(const Placement& placement, std::int32_t device, Packed& packed);
  // Swaps that may gain more than `to_beat` by what was summed, the most promising first; those that leave `enough` may
  // not.
  void list_candidates(const Placement& placement, std::int32_t first, std::int32_t second, std::int64_t to_beat,
                       std::int64_t enough);
  // How many moves more it is that each expert of a device goes to the other, [slot].
  static void count_moves(const Placement& placement, std::int32_t from, std::int32_t to,
                          std::vector<std::int32_t>& moves);

  // Some of the columns whose straggler is one of the two devices.
  std::vector<std::int32_t> columns_;
  struct Saving {
    std::int64_t ticks;  // at most
    std::int32_t column;
  };
  std::vector<Saving> savings_;
  std::size_t packed_count_ = 0;  // padded
  Packed load_first_, load_second_, experts_first_, experts_second_;
  std::vector<LoadRow> rows_;                  // [slot]
  std::vector<std::int32_t> floor_, weights_;  // [packed column]
  std::vector<std::int64_t> excess_;           // [slot of first, slot of second]
  std::vector<SwapColumn> swap_columns_;       // as columns_
  std::vector<std::int32_t> plain_excess_;     // [slot of first, slot of second, padded]
  // All columns: the slowest of the other devices; those that are packed have the largest floor, so that they add
  // nothing.
  std::vector<std::int32_t> others_;
  std::vector<std::int32_t> moves_first_, moves_second_;  // [slot]
  // Swaps that may gain, after the chosen columns.
  struct Candidate {
    std::int64_t max_gain;
    std::size_t pair;  // slot of first * slots of second + slot of second
  };
  std::vector<Candidate> candidates_;
  std::vector<std::uint32_t> below_;  // places among the excesses
};

void SwapMove::choose_columns(const Placement& placement, std::int32_t first, std::int32_t second) {
  placement.columns_of_stragglers(first, second, columns_);
  const std::size_t chosen = std::max(half_vector, columns_.size() / 2 / half_vector * half_vector);
  savings_.clear();
  for (const std::int32_t column : columns_) {
    const auto t = static_cast<std::size_t>(column);
    const std::int64_t above_others = placement.column_cost()[t] - others_[t];
    savings_.push_back({above_others * placement.weights()[t], column});
  }
  columns_.resize(std::min(columns_.size(), chosen));
  std::partial_sort(
      savings_.begin(), savings_.begin() + static_cast<std::ptrdiff_t>(columns_.size()), savings_.end(),
      [](const Saving& a, const Saving& b) { return a.ticks != b.ticks ? a.ticks > b.ticks : a.column < b.column; });
  for (std::size_t i = 0; i < columns_.size(); ++i) columns_[i] = savings_[i].column;
}

void SwapMove::pack_columns(const Placement& placement, std::int32_t first, std::int32_t second) {
  const LayerProblem& problem = placement.problem();
  packed_count_ = packed(columns_.size());
  const LoadRow load_first = placement.load(first), load_second = placement.load(second);
  pack(problem, {&load_first, 1}, load_first_);
  pack(problem, {&load_second, 1}, load_second_);
  floor_.assign(packed_count_, 0);
  weights_.assign(packed_count_, 0);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto column = static_cast<std::size_t>(columns_[i]);
    floor_[i] = std::exchange(others_[column], INT32_MAX);
    weights_[i] = placement.weights()[column];
  }
  if (placement.share_node(first, second))
    std::fill(others_.begin() + static_cast<std::ptrdiff_t>(problem.first_node_column()), others_.end(), INT32_MAX);
}

void SwapMove::pack(const LayerProblem& problem, std::span<const LoadRow> rows, Packed& packed) const {
  const auto pack_values = [&](const std::int32_t* LoadRow::*member, std::size_t planes,
                               std::vector<std::int32_t>& values) {
    values.resize(rows.size() * planes * packed_count_);
    for (std::size_t slot = 0; slot < rows.size(); ++slot)
      for (std::size_t plane = 0; plane < planes; ++plane) {
        const std::int32_t* const from = rows[slot].*member + plane * problem.column_count();
        std::int32_t* const to = values.data() + (slot * planes + plane) * packed_count_;
        look_up(to, {columns_.data(), nullptr}, from, columns_.size());
        std::fill(to + columns_.size(), to + packed_count_, 0);
      }
  };
  pack_values(&LoadRow::key, problem.tables().plane_count(), packed.keys);
  packed.added.clear();
  if (rows[0].added != nullptr) pack_values(&LoadRow::added, 1, packed.added);
}

void SwapMove::pack_experts(const Placement& placement, std::int32_t device, Packed& packed) {
  rows_.clear();
  for (const std::int32_t expert : placement.experts_of(device)) rows_.push_back(placement.problem().row(expert));
  pack(placement.problem(), rows_, packed);
}

void SwapMove::count_moves(const Placement& placement, std::int32_t from, std::int32_t to,
                           std::vector<std::int32_t>& moves) {
  const LayerProblem& problem = placement.problem();
  const std::vector<std::int32_t>& experts = placement.experts_of(from);
  moves.assign(experts.size(), 0);
  if (!problem.has_present()) return;
  for (std::size_t slot = 0; slot < moves.size(); ++slot)
    moves[slot] = problem.is_move(experts[slot], to) - problem.is_move(experts[slot], from);
}

void SwapMove::sum_packed(const Placement& placement, std::int32_t first, std::int32_t second) {
  const std::size_t first_slots = placement.experts_of(first).size(), slots = placement.experts_of(second).size();
  pack_columns(placement, first, second);
  pack_experts(placement, first, experts_first_);
  pack_experts(placement, second, experts_second_);
  excess_.resize(first_slots * slots);
  all_swapped_excesses({load_first_.row(), load_second_.row(), floor_.data(), weights_.data(), placement.table(first),
                        placement.table(second), planes_of(placement.problem().tables(), packed_count_)},
                       experts_first_.row(), first_slots, experts_second_.row(), slots, packed_count_, excess_.data());
  work_.evaluated_steps += excess_.size() * packed_count_;
}

void SwapMove::list_swap_columns(const Placement& placement, std::int32_t first, std::int32_t second) {
  const std::span<const StragglerColumn> of_first = placement.columns_of(first),
                                         of_second = placement.columns_of(second);
  swap_columns_.resize(of_first.size() + of_second.size());
  columns_.resize(swap_columns_.size());
  const std::int32_t* const load_first = placement.load(first).key;
  const std::int32_t* const load_second = placement.load(second).key;
  const std::int32_t* const table_first = placement.table(first);
  const std::int32_t* const table_second = placement.table(second);
  std::size_t count = 0;
  const auto list = [&](std::span<const StragglerColumn> columns, std::int32_t other) {
    for (const StragglerColumn& column : columns) {
      const std::int32_t floor = column.ticks_without(other);
      const auto t = static_cast<std::size_t>(column.column);
      SwapColumn& to = swap_columns_[count];
      to.table_first = table_first + load_first[t];
      to.table_second = table_second + load_second[t];
      to.keys_first = placement.slot_keys(first, t);
      to.keys_second = placement.slot_keys(second, t);
      to.floor = floor;
      to.weight = column.weight;
      columns_[count] = column.column;
      count += column.ticks > floor && column.weight > 0 ? 1 : 0;
    }
  };
  list(of_first, second);
  list(of_second, first);
  swap_columns_.resize(count);
  columns_.resize(count);
}

std::size_t SwapMove::sum_plain(const Placement& placement, std::int32_t first, std::int32_t second,
                                std::int64_t enough) {
  list_swap_columns(placement, first, second);
  const std::size_t first_slots = placement.experts_of(first).size(), stride = placement.slot_stride();
  const std::size_t few = first_slots * placement.experts_of(second).size() / 16;
  plain_excess_.assign(first_slots * stride + swap_padding, 0);
  // Few at first, since most swaps are done with early; more where there are many.
  const std::size_t at_a_time = std::clamp<std::size_t>(swap_columns_.size() / 4, 4, columns_at_a_time);
  std::size_t left = first_slots * stride, summed = 0;
  std::int64_t reached = 0;  // at most, by any swap
  std::int64_t most = enough + 1;
  std::int32_t weight = 1;
  while (summed < swap_columns_.size() && left > few) {
    std::size_t end = summed;
    for (; end < std::min(summed + at_a_time, swap_columns_.size()); ++end) {
      SwapColumn& column = swap_columns_[end];
      // A swap that leaves as much as that is done with.
      if (column.weight != weight) {
        weight = column.weight;
        most = enough / weight + 1;
      }
      reached += most * weight;
      if (reached > INT32_MAX) break;
      column.most = static_cast<std::int32_t>(most);
    }
    if (end == summed) break;
    left = add_swap_excesses(plain_excess_.data(), std::span(swap_columns_).subspan(summed, end - summed), first_slots,
                             stride, static_cast<std::int32_t>(enough));
    summed = end;
  }
  columns_.resize(summed);
  work_.evaluated_steps += first_slots * stride * summed;
  return left;
}

void SwapMove::list_candidates(const Placement& placement, std::int32_t first, std::int32_t second,
                               std::int64_t to_beat, std::int64_t enough) {
  const std::vector<std::int32_t>& of_first = placement.experts_of(first);
  const std::vector<std::int32_t>& of_second = placement.experts_of(second);
  const std::int64_t max_saving = placement.max_saving(first, second);
  const std::int64_t move_ticks = placement.problem().move_limit().move_ticks;
  candidates_.clear();
  const std::size_t slots = of_second.size();
  const auto consider = [&](std::size_t i, std::size_t j, std::int64_t excess) {
    const std::int32_t moves = moves_first_[i] + moves_second_[j];
    const std::int64_t max_gain = max_saving - moves * move_ticks - excess;
    if (max_gain > to_beat && placement.may_move(moves) && placement.may_hold(second, of_first[i]) &&
        placement.may_hold(first, of_second[j]))
      candidates_.push_back({max_gain, i * slots + j});
  };
  // Few are, in no order that a processor could foresee: they are listed without a branch for each.
  const auto consider_all = [&](const auto* excess, std::size_t stride) {
    const std::size_t count = of_first.size() * stride;
    below_.resize(count + 1);
    std::size_t found = 0;
    for (std::size_t at = 0; at < count; ++at) {
      below_[found] = static_cast<std::uint32_t>(at);
      found += excess[at] < enough ? 1 : 0;
    }
    for (std::size_t k = 0; k < found; ++k)
      if (const std::size_t j = below_[k] % stride; j < slots) consider(below_[k] / stride, j, excess[below_[k]]);
  };
  if (placement.is_plain())
    consider_all(plain_excess_.data(), placement.slot_stride());
  else
    consider_all(excess_.data(), slots);
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.max_gain != b.max_gain ? a.max_gain > b.max_gain : a.pair < b.pair;
  });
}

std::optional<FoundMove> SwapMove::evaluate(const Placement& placement, std::int32_t first, std::int32_t second,
                                            std::int64_t to_beat) {
  const LayerProblem& problem = placement.problem();
  const std::size_t first_slots = placement.experts_of(first).size(), slots = placement.experts_of(second).size();
  work_.candidate_steps += first_slots * slots * problem.step_count();
  const std::int64_t max_saving = placement.max_saving(first, second);
  const std::int64_t move_ticks = problem.move_limit().move_ticks;
  // Two experts that come home save their price, too.
  const auto max_returns = static_cast<std::int64_t>(std::min<std::size_t>(placement.moves(), 2)) * move_ticks;
  if (max_saving + max_returns <= to_beat) return std::nullopt;
  count_moves(placement, first, second, moves_first_);
  count_moves(placement, second, first, moves_second_);
  const std::int32_t least_moves = std::ranges::min(moves_first_) + std::ranges::min(moves_second_);
  const std::int64_t most = max_saving - least_moves * move_ticks;
  if (most <= to_beat || !placement.may_move(least_moves)) return std::nullopt;

  if (placement.is_plain()) {
    if (sum_plain(placement, first, second, most - to_beat) == 0) return std::nullopt;
  } else {
    placement.slowest_of_others(first, second, others_);
    choose_columns(placement, first, second);
    sum_packed(placement, first, second);
  }
  list_candidates(placement, first, second, to_beat, most - to_beat);
  if (candidates_.empty()) return std::nullopt;
  if (placement.is_plain()) {
    placement.slowest_of_others(first, second, others_);
    for (const std::int32_t column : columns_) others_[static_cast<std::size_t>(column)] = INT32_MAX;
  }

  const auto expert_of_first = [&](std::size_t pair) { return placement.experts_of(first)[pair / slots]; };
  const auto expert_of_second = [&](std::size_t pair) { return placement.experts_of(second)[pair % slots]; };
  const SwapSteps rest = placement.swap_steps(first, second, others_);
  std::int64_t best_gain = to_beat;
  std::size_t best_pair = 0;
  for (const Candidate& candidate : candidates_) {
    if (candidate.max_gain < best_gain) break;
    const std::int64_t gain =
        candidate.max_gain - swapped_excess(rest, problem.row(expert_of_first(candidate.pair)),
                                            problem.row(expert_of_second(candidate.pair)), problem.column_count(),
                                            candidate.max_gain - std::max<std::int64_t>(best_gain, 1),
                                            work_.evaluated_steps);
    if (gain > best_gain || (gain == best_gain && gain > to_beat && candidate.pair < best_pair)) {
      best_gain = gain;
      best_pair = candidate.pair;
    }
  }
  if (best_gain == to_beat) return std::nullopt;
  return FoundMove{{{expert_of_first(best_pair), second}, {expert_of_second(best_pair), first}}, -best_gain};
}

}  // namespace

std::unique_ptr<Move> make_swap_move() {
  return std::make_unique<SwapMove>();
}

}  // namespace gem
