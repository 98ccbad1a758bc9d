#include <algorithm>
#include <span>

#include "search/moves.hpp"

namespace gem {
namespace {

// Packed columns come in half vectors: the last whole vector would be half empty on average.
constexpr std::size_t packed(std::size_t columns) {
  return (columns + 7) / 8 * 8;
}

/// Two experts of two devices change places. Not all columns are summed: a swap can gain only in columns whose
/// straggler is one of the two, so these come first; then, the most promising swap first, the others (which can only
/// lose) while the swap still beats the best so far.
class SwapMove : public Move {
 public:
  std::string_view name() const override { return "swap"; }
  std::optional<FoundMove> evaluate(const Placement& placement, std::int32_t first, std::int32_t second) override;

 private:
  void pack_straggler_columns(const Placement& placement, std::int32_t first, std::int32_t second);
  // Loads of a device, keys [plane, packed column], or of its experts, [slot, plane, packed column]; no `added` where
  // nothing is added.
  struct Packed {
    std::vector<std::int32_t> keys, added;
    LoadRow row() const { return {keys.data(), added.empty() ? nullptr : added.data()}; }
  };
  void pack(const LayerProblem& problem, std::span<const LoadRow> rows, Packed& packed) const;
  void pack_experts(const Placement& placement, std::int32_t device, Packed& packed);
  // How many moves more it is that each expert of a device goes to the other, [slot].
  static void count_moves(const Placement& placement, std::int32_t from, std::int32_t to,
                          std::vector<std::int32_t>& moves);

  // Columns whose straggler is one of the two devices, packed.
  std::vector<std::int32_t> columns_;
  std::size_t packed_count_ = 0;  // padded
  Packed load_first_, load_second_, experts_first_, experts_second_;
  std::vector<LoadRow> rows_;         // [slot]
  std::vector<std::int32_t> floor_;   // [packed column]
  std::vector<std::int64_t> excess_;  // [slot of first, slot of second]
  // All columns; those above have the largest floor, so that they add nothing.
  std::vector<std::int32_t> others_;
  std::vector<std::int32_t> floor_of_rest_;
  std::vector<std::int32_t> moves_first_, moves_second_;  // [slot]
  // Swaps that gain in the packed columns.
  struct Candidate {
    std::int64_t gain;
    std::size_t pair;  // slot of first * slots + slot of second
  };
  std::vector<Candidate> candidates_;
};

void SwapMove::pack_straggler_columns(const Placement& placement, std::int32_t first, std::int32_t second) {
  placement.slowest_of_others(first, second, others_);
  floor_of_rest_ = placement.column_cost();
  if (placement.share_node(first, second)) {
    const std::size_t first_node_column = placement.problem().first_node_column();
    std::fill(floor_of_rest_.begin() + static_cast<std::ptrdiff_t>(first_node_column), floor_of_rest_.end(), INT32_MAX);
  }
  placement.columns_of_stragglers(first, second, columns_);
  packed_count_ = packed(columns_.size());
  const LoadRow load_first = placement.load(first), load_second = placement.load(second);
  pack(placement.problem(), {&load_first, 1}, load_first_);
  pack(placement.problem(), {&load_second, 1}, load_second_);
  floor_.assign(packed_count_, 0);
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto column = static_cast<std::size_t>(columns_[i]);
    floor_[i] = others_[column];
    floor_of_rest_[column] = INT32_MAX;
  }
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
  moves.assign(problem.slots(), 0);
  if (!problem.has_present()) return;
  const std::vector<std::int32_t>& experts = placement.experts_of(from);
  for (std::size_t slot = 0; slot < moves.size(); ++slot)
    moves[slot] = problem.is_move(experts[slot], to) - problem.is_move(experts[slot], from);
}

std::optional<FoundMove> SwapMove::evaluate(const Placement& placement, std::int32_t first, std::int32_t second) {
  const LayerProblem& problem = placement.problem();
  const std::size_t slots = problem.slots();
  work_.candidate_steps += slots * slots * problem.step_count();
  const std::int64_t max_saving = placement.max_saving(first, second);
  const std::int64_t move_ticks = problem.move_limit().move_ticks;
  // Two experts that come home save their price, too.
  const auto max_returns = static_cast<std::int64_t>(std::min<std::size_t>(placement.moves(), 2));
  if (max_saving + max_returns * move_ticks <= 0) return std::nullopt;
  count_moves(placement, first, second, moves_first_);
  count_moves(placement, second, first, moves_second_);

  pack_straggler_columns(placement, first, second);
  pack_experts(placement, first, experts_first_);
  pack_experts(placement, second, experts_second_);
  excess_.resize(slots * slots);
  const std::int32_t* const table_first = placement.table(first);
  const std::int32_t* const table_second = placement.table(second);
  all_swapped_excesses({load_first_.row(), load_second_.row(), floor_.data(), table_first, table_second,
                        planes_of(problem.tables(), packed_count_)},
                       experts_first_.row(), experts_second_.row(), slots, packed_count_, excess_.data());
  work_.evaluated_steps += slots * slots * packed_count_;

  const auto expert_of_first = [&](std::size_t pair) { return placement.experts_of(first)[pair / slots]; };
  const auto expert_of_second = [&](std::size_t pair) { return placement.experts_of(second)[pair % slots]; };
  candidates_.clear();
  for (std::size_t pair = 0; pair < excess_.size(); ++pair) {
    const std::int32_t moves = moves_first_[pair / slots] + moves_second_[pair % slots];
    const std::int64_t gain = max_saving - excess_[pair] - moves * move_ticks;
    if (gain > 0 && placement.may_move(moves) && placement.may_hold(second, expert_of_first(pair)) &&
        placement.may_hold(first, expert_of_second(pair)))
      candidates_.push_back({gain, pair});
  }
  std::sort(candidates_.begin(), candidates_.end(), [](const Candidate& a, const Candidate& b) {
    return a.gain != b.gain ? a.gain > b.gain : a.pair < b.pair;
  });

  const SwapSteps rest = placement.swap_steps(first, second, floor_of_rest_);
  Candidate best{0, 0};
  for (const Candidate& candidate : candidates_) {
    if (candidate.gain < best.gain) break;
    const std::int64_t gain =
        candidate.gain - swapped_excess(rest, problem.row(expert_of_first(candidate.pair)),
                                        problem.row(expert_of_second(candidate.pair)), problem.column_count(),
                                        candidate.gain - std::max<std::int64_t>(best.gain, 1), work_.evaluated_steps);
    if (gain > best.gain || (gain == best.gain && gain > 0 && candidate.pair < best.pair))
      best = {gain, candidate.pair};
  }
  if (best.gain == 0) return std::nullopt;
  return FoundMove{{{expert_of_first(best.pair), second}, {expert_of_second(best.pair), first}}, -best.gain};
}

}  // namespace

std::unique_ptr<Move> make_swap_move() {
  return std::make_unique<SwapMove>();
}

}  // namespace gem
