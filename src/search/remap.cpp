#include "search/remap.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <span>

#include "base/random.hpp"
#include "search/delta_check.hpp"
#include "search/layer_search.hpp"
#include "search/matching.hpp"
#include "search/moves.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// Which devices hold each expert.
class Holders {
 public:
  Holders(const DeviceContents& contents, std::int32_t expert_count) {
    first_.assign(static_cast<std::size_t>(expert_count) + 1, 0);
    for_each(contents, [&](std::size_t expert, std::int32_t) { ++first_[expert + 1]; });
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    devices_.resize(first_.back());
    std::vector<std::size_t> next = first_;
    for_each(contents, [&](std::size_t expert, std::int32_t device) { devices_[next[expert]++] = device; });
  }
  /// Ascending, each once.
  std::span<const std::int32_t> of(std::int32_t expert) const {
    const auto e = static_cast<std::size_t>(expert);
    return std::span(devices_).subspan(first_[e], first_[e + 1] - first_[e]);
  }

 private:
  // Calls visit(expert, device) once for each expert of a device.
  template <class Visit>
  void for_each(const DeviceContents& contents, const Visit& visit) const {
    std::vector<std::int32_t> last(first_.size(), -1);  // [expert] device
    for (std::size_t d = 0; d < contents.size(); ++d)
      for (const std::int32_t expert : contents[d]) {
        const auto e = static_cast<std::size_t>(expert);
        const auto device = static_cast<std::int32_t>(d);
        if (expert < 0 || e + 1 >= first_.size() || last[e] == device) continue;
        last[e] = device;
        visit(e, device);
      }
  }

  std::vector<std::size_t> first_;  // [expert] in devices_, and one beyond
  std::vector<std::int32_t> devices_;
};

// The assignment with the fewest moves: what the problem places stays where the expert is, and what is left takes the
// slots that are left.
Assignment nearest_assignment(const LayerProblem& problem, const DeviceContents& present) {
  constexpr std::int32_t nowhere = -1;
  Assignment assignment(problem.expert_count(), nowhere);
  std::vector<std::size_t> held(problem.device_count(), 0);
  const auto placed_count = static_cast<std::int32_t>(assignment.size());
  const Holders holders(present, placed_count > 0 ? problem.expert_of(placed_count - 1) + 1 : 0);
  for (std::int32_t begin = 0, end; begin < placed_count; begin = end) {
    const std::int32_t expert = problem.expert_of(begin);
    for (end = begin + 1; end < placed_count && problem.expert_of(end) == expert;) ++end;
    std::int32_t next = begin;
    for (const std::int32_t device : holders.of(expert)) {
      if (next == end) break;
      const auto d = static_cast<std::size_t>(device);
      if (held[d] == problem.slots_of(d)) continue;
      assignment[static_cast<std::size_t>(next++)] = device;
      ++held[d];
    }
  }
  std::size_t free_device = 0;
  for (std::int32_t& device : assignment) {
    if (device != nowhere) continue;
    while (held[free_device] == problem.slots_of(free_device)) ++free_device;
    device = static_cast<std::int32_t>(free_device);
    ++held[free_device];
  }
  if (problem.has_copies())
    separate_copies(assignment, problem.expert_of_copy(), std::vector<double>(assignment.size(), 0.0),
                    problem.device_count());
  return assignment;
}

// The best assignment for each number of moves.
class Front {
 public:
  explicit Front(const LayerProblem& problem) : problem_(&problem) {}

  void add(const Placement& placement) {
    const std::size_t moves = placement.moves();
    const std::int64_t cost = placement.cost() - static_cast<std::int64_t>(moves) * problem_->move_limit().move_ticks;
    const auto found = best_.find(moves);
    if (found != best_.end() && found->second.cost <= cost) return;
    // The nearest placement may be beyond the limit, and then those that lead from it, too.
    if (!best_.empty() && moves > std::max(best_.begin()->first, problem_->move_limit().max_moves)) return;
    Assignment assignment = placement.assignment();
    best_[moves] = {moves, cost, std::move(assignment)};
  }
  /// The best with at most so many moves; the first has the fewest.
  const RemapPoint& within(std::size_t moves) const {
    const RemapPoint* best = &best_.begin()->second;
    for (const auto& [number, point] : best_)
      if (number <= moves && point.cost < best->cost) best = &point;
    return *best;
  }
  /// Those that are cheaper than all before them, with copies numbered as in files.
  std::vector<RemapPoint> points() const {
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

 private:
  const LayerProblem* problem_;
  std::map<std::size_t, RemapPoint> best_;
};

bool is_out_of_time(const RemapRule& rule) {
  return rule.is_out_of_time && rule.is_out_of_time();
}

// Makes the best change of all pairs of devices, again and again. With few moves to make, each has to be the best one;
// the bound of what a pair can save leaves most pairs out.
class SteepestDescent {
 public:
  explicit SteepestDescent(const RemapRule& rule) : rule_(rule) {}

  void run(Placement& placement, Front& front) {
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

 private:
  struct Pair {
    std::int64_t max_saving;
    std::int32_t first, second;
  };

  std::optional<FoundMove> best_change(const Placement& placement) {
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

  const RemapRule& rule_;
  std::vector<std::unique_ptr<Move>> moves_ = make_moves();
  std::vector<Pair> pairs_;
};

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

// Iterated local search within a limit of moves: some that were made are taken back, others are made at random, and
// then the best. A result that is a little worse is gone on from now and then.
void refine(const LayerProblem& counted, const DeviceContents& present, const RemapRule& rule, std::size_t max_moves,
            SteepestDescent& descent, Front& front) {
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

// A disturbance of a layer with many experts takes long (its swaps grow with their square), the more so the more
// moves are allowed, and there are more limits to disturb within: fewer of them. With few moves each has to be the best
// one; with many, descents and what lies on the way to the targets leave little to find. The front of 256 experts on 8
// devices gets worse by 0.1 % at the most for that (synthetic loads, tests/benchmark/adaptation.md).
RemapRule within_work(RemapRule rule, std::size_t expert_count, std::size_t max_moves) {
  constexpr std::size_t all_up_to = 64;  // experts
  if (expert_count <= all_up_to) return rule;
  const std::size_t few_moves = std::max<std::size_t>(1, 2048 / expert_count);
  const std::size_t moves = std::max(max_moves, few_moves);
  rule.iterations = std::max<std::size_t>(1, rule.iterations * all_up_to * few_moves / (expert_count * moves));
  return rule;
}

// `to` with each expert's copies numbered so that those on devices of `from` have the same numbers.
Assignment numbered_like(const Assignment& from, Assignment to, const LayerProblem& problem) {
  if (!problem.has_copies()) return to;
  const auto count = static_cast<std::int32_t>(to.size());
  for (std::int32_t begin = 0, end; begin < count; begin = end) {
    for (end = begin + 1; end < count && problem.expert_of(end) == problem.expert_of(begin);) ++end;
    for (std::int32_t copy = begin; copy < end; ++copy)
      for (std::int32_t other = begin; other < end; ++other)
        if (to[static_cast<std::size_t>(other)] == from[static_cast<std::size_t>(copy)])
          std::swap(to[static_cast<std::size_t>(other)], to[static_cast<std::size_t>(copy)]);
  }
  return to;
}

// Goes from a placement to another by swaps that bring one expert to its place, the best swap first.
class Walk {
 public:
  explicit Walk(const RemapRule& rule) : rule_(rule) {}

  void run(Placement placement, const Assignment& to, Front& front) {
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

std::int64_t move_price(const LayerProblem& problem, double move_s, double horizon_steps) {
  return move_price(problem.tables().tick_s(), problem.step_count(), move_s, horizon_steps);
}

std::int64_t move_price(double tick_s, std::size_t step_count, double move_s, double horizon_steps) {
  // Beyond it (hours, in ticks of a nanosecond) no move is worth its price, and that of every move that a layer can
  // have (65,536 experts on a few devices each) stays in 64 bits.
  constexpr double max_price = 1e13;
  const double ticks = move_s / tick_s * static_cast<double>(step_count) / horizon_steps;
  return std::llround(std::min(ticks, max_price));
}

DeviceContents device_contents(const Assignment& assignment, std::size_t device_count) {
  DeviceContents contents(device_count);
  for (std::size_t expert = 0; expert < assignment.size(); ++expert)
    contents[static_cast<std::size_t>(assignment[expert])].push_back(static_cast<std::int32_t>(expert));
  return contents;
}

Assignment relabelled(const LayerProblem& problem, const DeviceContents& present, const Assignment& assignment) {
  const std::size_t devices = problem.device_count(), block = problem.block_devices();
  const std::vector<std::int32_t>& nodes = problem.tables().node_of();
  const auto are_equal = [&](std::size_t a, std::size_t b) {
    return problem.slots_of(a) == problem.slots_of(b) && (nodes.empty() || nodes[a] == nodes[b]) &&
           std::ranges::equal(problem.tables().of(a), problem.tables().of(b));
  };
  std::vector<std::int32_t> label(devices);
  std::iota(label.begin(), label.end(), 0);
  std::vector<bool> done(devices, false);
  for (std::size_t first = 0; first < devices; ++first) {
    if (done[first]) continue;
    std::vector<std::size_t> equal;
    for (std::size_t device = first; device < (first / block + 1) * block; ++device)
      if (are_equal(first, device)) equal.push_back(device);
    for (const std::size_t device : equal) done[device] = true;
    Matrix<std::int64_t> kept(equal.size(), equal.size(), 0);
    for (std::size_t placed = 0; placed < assignment.size(); ++placed) {
      const auto at = std::ranges::find(equal, static_cast<std::size_t>(assignment[placed]));
      if (at == equal.end()) continue;
      for (std::size_t i = 0; i < equal.size(); ++i)
        if (holds(present[equal[i]], problem.expert_of(static_cast<std::int32_t>(placed))))
          ++kept(static_cast<std::size_t>(at - equal.begin()), i);
    }
    const std::vector<std::size_t> matched = best_matching(kept);
    for (std::size_t i = 0; i < equal.size(); ++i) label[equal[i]] = static_cast<std::int32_t>(equal[matched[i]]);
  }
  Assignment result;
  for (const std::int32_t device : assignment) result.push_back(label[static_cast<std::size_t>(device)]);
  return result;
}

std::vector<RemapPoint> remap_front(const LayerProblem& problem, const DeviceContents& present, const RemapRule& rule,
                                    std::span<const Assignment> targets) {
  LayerProblem counted = problem;
  counted.set_present(present, {rule.max_moves, rule.move_ticks});
  Front front(counted);
  SteepestDescent descent(rule);
  const Assignment nearest = nearest_assignment(problem, present);
  Placement placement(counted, nearest);
  descent.run(placement, front);
  for (const Assignment& target : targets) {
    const Assignment to = numbered_like(nearest, relabelled(problem, present, target), problem);
    Walk walk(rule);
    walk.run(Placement(counted, nearest), to, front);
    walk.run(Placement(counted, to), nearest, front);
  }
  if (rule.iterations > 0 && problem.device_count() > 1) {
    const std::size_t last = std::min(rule.max_moves, problem.expert_count());
    const auto refine_within = [&](std::size_t limit) {
      refine(counted, present, within_work(rule, problem.expert_count(), limit), limit, descent, front);
    };
    for (std::size_t moves = 2; moves < last; moves *= 2)
      for (const std::size_t limit : {moves, moves * 3 / 2})
        if (limit < last) refine_within(limit);
    refine_within(last);
  }
  return front.points();
}

std::size_t best_point(std::span<const RemapPoint> front, std::int64_t move_ticks) {
  std::size_t best = 0;
  const auto priced = [&](std::size_t point) {
    return front[point].cost + static_cast<std::int64_t>(front[point].moves) * move_ticks;
  };
  for (std::size_t point = 1; point < front.size(); ++point)
    if (priced(point) < priced(best)) best = point;
  return best;
}

RemapPoint best_remap(const LayerProblem& problem, const DeviceContents& present, const RemapRule& rule,
                      std::size_t search_iterations) {
  const std::vector<RemapPoint> front = remap_front(problem, present, rule);
  RemapPoint best = front[best_point(front, rule.move_ticks)];
  LayerProblem counted = problem;
  counted.set_present(present, {rule.max_moves, rule.move_ticks});
  const Placement searched(
      counted,
      run_start(counted, best.assignment, RandomStream{rule.seed}, {.iterations = search_iterations}).assignment);
  const std::int64_t price = static_cast<std::int64_t>(searched.moves()) * rule.move_ticks;
  if (searched.cost() < best.cost + static_cast<std::int64_t>(best.moves) * rule.move_ticks)
    best = {searched.moves(), searched.cost() - price, searched.assignment()};
  return best;
}

std::vector<std::size_t> choose_points(const std::vector<std::vector<RemapPoint>>& fronts, std::int64_t move_ticks,
                                       std::size_t max_moves) {
  struct Step {
    std::size_t point = 0;
    std::size_t moves = 0;
    std::int64_t gain = 0;  // above the price; 0: none
  };
  std::vector<std::size_t> chosen(fronts.size(), 0);
  std::size_t left = max_moves;
  const auto best_step = [&](std::size_t layer) {
    Step best;
    const RemapPoint& from = fronts[layer][chosen[layer]];
    for (std::size_t point = chosen[layer] + 1; point < fronts[layer].size(); ++point) {
      const RemapPoint& to = fronts[layer][point];
      const Step step{point, to.moves - from.moves,
                      from.cost - to.cost - static_cast<std::int64_t>(to.moves - from.moves) * move_ticks};
      if (step.moves > left || step.gain <= 0) continue;
      if (best.gain == 0 || static_cast<double>(step.gain) * static_cast<double>(best.moves) >
                                static_cast<double>(best.gain) * static_cast<double>(step.moves))
        best = step;
    }
    return best;
  };
  std::vector<Step> steps;
  for (std::size_t layer = 0; layer < fronts.size(); ++layer) steps.push_back(best_step(layer));
  for (;;) {
    std::size_t best = fronts.size();
    for (std::size_t layer = 0; layer < fronts.size(); ++layer) {
      if (steps[layer].gain > 0 && steps[layer].moves > left) steps[layer] = best_step(layer);
      if (steps[layer].gain <= 0) continue;
      if (best == fronts.size() || static_cast<double>(steps[layer].gain) * static_cast<double>(steps[best].moves) >
                                       static_cast<double>(steps[best].gain) * static_cast<double>(steps[layer].moves))
        best = layer;
    }
    if (best == fronts.size()) return chosen;
    chosen[best] = steps[best].point;
    left -= steps[best].moves;
    steps[best] = best_step(best);
  }
}

}  // namespace gem
