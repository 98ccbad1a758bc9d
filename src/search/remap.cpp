#include "search/remap.hpp"

#include <algorithm>
#include <cmath>
#include <span>

#include "base/random.hpp"
#include "search/layer_search.hpp"
#include "search/remap_numbering.hpp"
#include "search/remap_search.hpp"

namespace gem {
namespace {

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

std::vector<RemapPoint> remap_front(const LayerProblem& problem, const DeviceContents& present, const RemapRule& rule,
                                    std::span<const Assignment> targets) {
  LayerProblem counted = problem;
  counted.set_present(present, {rule.max_moves, rule.move_ticks});
  RemapFront front(counted);
  SteepestDescent descent(rule);
  const Assignment nearest = nearest_assignment(problem, present);
  Placement placement(counted, nearest);
  descent.run(placement, front);
  for (const Assignment& target : targets) {
    const Assignment to = numbered_like(nearest, relabelled(problem, present, target), problem);
    walk(Placement(counted, nearest), to, rule, front);
    walk(Placement(counted, to), nearest, rule, front);
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
