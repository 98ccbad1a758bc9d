#include "search/remap_search.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "base/random.hpp"
#include "search/delta_check.hpp"
#include "search/layer_search.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

bool is_out_of_time(const RemapRule& rule) {
  return rule.is_out_of_time && rule.is_out_of_time();
}

// Sends an expert that has moved home, if there is one; what has moved there takes its place.
void send_home(Placement& placement, const DeviceContents& present, RandomStream& random) {
  const LayerProblem& problem = placement.problem();
  const auto has_moved = [&](std::int32_t placed) { return problem.is_move(placed, placement.device_of(placed)) != 0; };
  std::vector<std::int32_t> moved;
  for (std::int32_t placed = 0; placed < static_cast<std::int32_t>(problem.expert_count()); ++placed)
    if (has_moved(placed)) moved.push_back(placed);
  if (moved.empty()) return;
  const std::int32_t returning = moved[random.below(moved.size())], from = placement.device_of(returning);
  std::vector<std::int32_t> partners;
  for (std::size_t home = 0; home < present.size(); ++home) {
    const auto device = static_cast<std::int32_t>(home);
    if (device == from || problem.is_move(returning, device) != 0) continue;
    if (device / static_cast<std::int32_t>(problem.block_devices()) !=
        from / static_cast<std::int32_t>(problem.block_devices()))
      continue;
    if (!placement.may_hold(device, returning)) continue;
    for (const std::int32_t partner : placement.experts_of(device))
      if (has_moved(partner) && placement.may_hold(from, partner)) partners.push_back(partner);
  }
  if (partners.empty()) return;
  const std::int32_t partner = partners[random.below(partners.size())];
  const Relocation swap[] = {{returning, placement.device_of(partner)}, {partner, from}};
  placement.apply(swap);
}

// Two experts of any two devices change places, if that is within the limit.
void swap_any(Placement& placement, RandomStream& random) {
  const LayerProblem& problem = placement.problem();
  const std::size_t block = problem.block_devices();
  if (block < 2) return;
  const auto first = static_cast<std::int32_t>(random.below(problem.device_count()));
  const auto begin = first / static_cast<std::int32_t>(block) * static_cast<std::int32_t>(block);
  auto second = begin + static_cast<std::int32_t>(random.below(block - 1));
  if (second >= first) ++second;
  const auto any_of = [&](const std::vector<std::int32_t>& experts) { return experts[random.below(experts.size())]; };
  const std::int32_t of_first = any_of(placement.experts_of(first));
  const std::int32_t of_second = any_of(placement.experts_of(second));
  const std::int32_t moves = problem.is_move(of_first, second) - problem.is_move(of_first, first) +
                             problem.is_move(of_second, first) - problem.is_move(of_second, second);
  if (!placement.may_move(moves) || !placement.may_hold(second, of_first) || !placement.may_hold(first, of_second))
    return;
  const Relocation swap[] = {{of_first, second}, {of_second, first}};
  placement.apply(swap);
}

// Goes from a placement to another by swaps that bring one expert to its place, the best swap first.
class Walk {
 public:
  explicit Walk(const RemapRule& rule) : rule_(rule) {}

  void run(Placement placement, const Assignment& to, RemapFront& front) {
    front.add(placement);
    while (!is_out_of_time(rule_) && step(placement, to)) front.add(placement);
  }

 private:
  bool step(Placement& placement, const Assignment& to) {
    const LayerProblem& problem = placement.problem();
    std::int64_t best_cost = INT64_MAX;
    Relocation best[2] = {};
    const auto target_of = [&](std::int32_t placed) { return to[static_cast<std::size_t>(placed)]; };
    const auto devices = static_cast<std::int32_t>(problem.device_count());
    for (std::int32_t from = 0; from < devices; ++from)
      for (std::int32_t target = 0; target < devices; ++target) {
        if (target == from) continue;
        bool others_known = false;
        for (const std::int32_t expert : placement.experts_of(from)) {
          if (target_of(expert) != target || !placement.may_hold(target, expert)) continue;
          if (!others_known) placement.slowest_of_others(from, target, others_);
          others_known = true;
          const std::int64_t others_cost = weighted_sum(others_.data(), placement.weights().data(), others_.size());
          const SwapSteps steps = placement.swap_steps(from, target, others_);
          for (const std::int32_t partner : placement.experts_of(target)) {
            if (target_of(partner) == target || !placement.may_hold(from, partner)) continue;
            const std::int64_t allowed = best_cost == INT64_MAX ? INT64_MAX : best_cost - others_cost;
            if (allowed < 0) continue;
            std::uint64_t summed = 0;
            const std::int64_t cost = others_cost + swapped_excess(steps, problem.row(expert), problem.row(partner),
                                                                   problem.column_count(), allowed, summed);
            if (cost >= best_cost) continue;
            best_cost = cost;
            best[0] = {expert, target};
            best[1] = {partner, from};
          }
        }
      }
    if (best_cost == INT64_MAX) return false;
    placement.apply(best);
    return true;
  }

  const RemapRule& rule_;
  std::vector<std::int32_t> others_;
};

}  // namespace

void RemapFront::add(const Placement& placement) {
  const std::size_t moves = placement.moves();
  const std::int64_t cost = placement.cost() - static_cast<std::int64_t>(moves) * problem_->move_limit().move_ticks;
  const auto found = best_.find(moves);
  if (found != best_.end() && found->second.cost <= cost) return;
  // The nearest placement may be beyond the limit, and then those that lead from it, too.
  if (!best_.empty() && moves > std::max(best_.begin()->first, problem_->move_limit().max_moves)) return;
  Assignment assignment = placement.assignment();
  best_[moves] = {moves, cost, std::move(assignment)};
}

const RemapPoint& RemapFront::within(std::size_t moves) const {
  const RemapPoint* best = &best_.begin()->second;
  for (const auto& [number, point] : best_)
    if (number <= moves && point.cost < best->cost) best = &point;
  return *best;
}

std::vector<RemapPoint> RemapFront::points() const {
  std::vector<RemapPoint> points;
  for (const auto& [moves, best] : best_) {
    RemapPoint point = best;
    if (problem_->has_copies()) {
      order_copies(point.assignment, problem_->expert_of_copy());
      point.cost =
          cost_of(*problem_, point.assignment) - static_cast<std::int64_t>(moves) * problem_->move_limit().move_ticks;
    }
    if (points.empty() || point.cost < points.back().cost) points.push_back(std::move(point));
  }
  return points;
}

void SteepestDescent::run(Placement& placement, RemapFront& front) {
  front.add(placement);
  while (!is_out_of_time(rule_)) {
    const auto best = best_change(placement);
    if (!best) break;
    const std::int64_t before = placement.cost();
    placement.apply(best->relocations);
    check_delta(placement, before, best->change, "steepest swap");
    front.add(placement);
  }
}

std::optional<FoundMove> SteepestDescent::best_change(const Placement& placement) {
  const LayerProblem& problem = placement.problem();
  const auto returns = static_cast<std::int64_t>(std::min<std::size_t>(placement.moves(), 2));
  const std::int64_t saved_by_returns = returns * problem.move_limit().move_ticks;
  pairs_.clear();
  const std::size_t devices = problem.device_count(), block = problem.block_devices();
  const auto may_save = [&](std::size_t device) {
    return saved_by_returns > 0 || placement.is_straggler(static_cast<std::int32_t>(device));
  };
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = a + 1; b < (a / block + 1) * block; ++b) {
      if (!may_save(a) && !may_save(b)) continue;
      const auto first = static_cast<std::int32_t>(a), second = static_cast<std::int32_t>(b);
      const std::int64_t saving = placement.max_saving(first, second) + saved_by_returns;
      if (saving > 0) pairs_.push_back({saving, first, second});
    }
  // The most promising pair is on top of a heap: most are never looked at.
  const auto is_later = [](const Pair& a, const Pair& b) {
    if (a.max_saving != b.max_saving) return a.max_saving < b.max_saving;
    return a.first != b.first ? a.first > b.first : a.second > b.second;
  };
  std::ranges::make_heap(pairs_, is_later);
  std::optional<FoundMove> best;
  for (; !pairs_.empty(); pairs_.pop_back()) {
    std::ranges::pop_heap(pairs_, is_later);
    const Pair& pair = pairs_.back();
    if (best && pair.max_saving <= -best->change) break;
    for (const auto& move : moves_) {
      auto found = move->evaluate(placement, pair.first, pair.second, best ? -best->change : 0);
      if (found) best = std::move(found);
    }
  }
  return best;
}

void walk(Placement placement, const Assignment& to, const RemapRule& rule, RemapFront& front) {
  Walk(rule).run(std::move(placement), to, front);
}

void refine(const LayerProblem& counted, const DeviceContents& present, const RemapRule& rule, std::size_t max_moves,
            SteepestDescent& descent, RemapFront& front) {
  constexpr double tolerance = 2e-3;
  LayerProblem limited = counted;
  limited.set_present(present, {max_moves, rule.move_ticks});
  RandomStream random{rule.seed, max_moves};
  Placement current(limited, front.within(max_moves).assignment);
  for (std::size_t i = 0; i < rule.iterations && !is_out_of_time(rule); ++i) {
    Placement trial = current;
    const std::uint64_t returns = random.below(3), swaps = random.below(2) + (returns == 0 ? 1 : 0);
    for (std::uint64_t r = 0; r < returns; ++r) send_home(trial, present, random);
    for (std::uint64_t s = 0; s < swaps; ++s) swap_any(trial, random);
    descent.run(trial, front);
    const auto worse = static_cast<double>(trial.cost() - current.cost());
    if (worse <= 0.0 || random.uniform() < std::exp(-worse / (tolerance * static_cast<double>(current.cost()))))
      current = std::move(trial);
  }
}

}  // namespace gem
