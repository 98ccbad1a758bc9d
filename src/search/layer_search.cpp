#include "search/layer_search.hpp"

#include <chrono>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "search/merged_steps.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// Fewer swaps are undone by the descent, more make it start afresh.
constexpr int disturbing_swaps = 2;

// A result worse by this part of the cost is gone on from with probability 1 / e: half the excess over the best known
// cost of never accepting one, at equal time (tests/benchmark/search_choices.md).
constexpr double tolerance = 3e-4;

// By how many moves a swap of two experts leads further from the present placement.
std::int32_t moves_of_swap(const LayerProblem& problem, std::int32_t of_first, std::int32_t first,
                           std::int32_t of_second, std::int32_t second) {
  return problem.is_move(of_first, second) - problem.is_move(of_first, first) + problem.is_move(of_second, first) -
         problem.is_move(of_second, second);
}

// Swaps between two devices that wait for each other: one straggles in the profiled stage of a step drawn at random
// (`step_of` the whole problem's), the other is any other.
void disturb(Placement& placement, std::span<const std::size_t> step_of, RandomStream& random,
             std::vector<std::int32_t>& changed) {
  const LayerProblem& problem = placement.problem();
  const std::size_t first_column = problem.first_column(profiled_stage);
  changed.clear();
  for (int i = 0; i < disturbing_swaps; ++i) {
    const std::int32_t straggler = placement.straggler()[first_column + step_of[random.below(step_of.size())]];
    const auto first = straggler < 0 ? static_cast<std::int32_t>(random.below(problem.device_count())) : straggler;
    const auto block = static_cast<std::int32_t>(problem.block_devices());
    auto second = first / block * block + static_cast<std::int32_t>(random.below(problem.block_devices() - 1));
    if (second >= first) ++second;
    const auto any_of = [&](const std::vector<std::int32_t>& experts) { return experts[random.below(experts.size())]; };
    const std::int32_t of_first = any_of(placement.experts_of(first));
    const std::int32_t of_second = any_of(placement.experts_of(second));
    if (!placement.may_hold(second, of_first) || !placement.may_hold(first, of_second)) continue;
    if (problem.has_present() && !placement.may_move(moves_of_swap(problem, of_first, first, of_second, second)))
      continue;
    const Relocation swap[] = {{of_first, second}, {of_second, first}};
    placement.apply(swap);
    changed.push_back(first);
    changed.push_back(second);
  }
}

}  // namespace

Assignment random_assignment(const LayerProblem& problem, RandomStream& random) {
  const std::size_t block_experts = problem.expert_count() * problem.block_devices() / problem.device_count();
  std::vector<std::size_t> block_of_group(problem.expert_count() / block_experts);
  std::iota(block_of_group.begin(), block_of_group.end(), std::size_t{0});
  random.shuffle(std::span(block_of_group));
  Assignment assignment(problem.expert_count());
  for (std::size_t e = 0; e < assignment.size(); ++e) {
    const std::size_t first_device = block_of_group[e / block_experts] * problem.block_devices();
    assignment[e] = static_cast<std::int32_t>(
        first_device + device_of_slot(e % block_experts, block_experts, problem.block_devices()));
  }
  for (std::size_t e = 0; e < assignment.size(); e += block_experts)
    random.shuffle(std::span(assignment).subspan(e, block_experts));
  if (problem.has_copies())
    separate_copies(assignment, problem.expert_of_copy(), std::vector<double>(assignment.size()),
                    problem.device_count());
  return assignment;
}

std::int64_t cost_of(const LayerProblem& problem, const Assignment& assignment) {
  return Placement(problem, assignment).cost();
}

StartResult run_start(const LayerProblem& problem, const Assignment& initial, RandomStream random,
                      const StartRule& rule) {
  const auto begin = std::chrono::steady_clock::now();
  const MergedSteps merged = merge_equal_steps(problem);
  StartResult result;
  const auto note = [&](const Placement& placement) {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
    result.history.push_back({elapsed.count(), placement.cost()});
  };
  Descent descent(rule.stop_now);
  Placement current(merged.problem, initial, merged.weights);
  note(current);
  const auto ask_for_least_gain = [&] {  // of the present cost, which the first descent lowers much
    descent.set_to_beat(static_cast<std::int64_t>(rule.least_gain * static_cast<double>(current.cost())));
  };
  ask_for_least_gain();
  descent.run(current);
  ask_for_least_gain();
  note(current);
  Placement best = current;
  if (problem.device_count() > 1) {
    Placement trial = current;
    std::vector<std::int32_t> changed;
    while (result.iterations < rule.iterations && !(rule.stop_now && rule.stop_now())) {
      disturb(trial, merged.step_of, random, changed);
      descent.repair(trial, changed);
      ++result.iterations;
      const auto worse = static_cast<double>(trial.cost() - current.cost());
      if (worse <= 0.0 || random.uniform() < std::exp(-worse / (tolerance * static_cast<double>(best.cost()))))
        current = trial;
      else
        trial = current;
      if (current.cost() >= best.cost()) continue;
      best = current;
      note(best);
    }
    if (rule.last_descent && (result.iterations > 0 || rule.least_gain > 0.0)) {
      descent.set_to_beat(0);
      descent.run(best);
    }
    note(best);
  }
  result.assignment = best.assignment();
  result.cost = best.cost();
  result.work = descent.work();
  // As if equal steps had been summed one by one.
  result.work.candidate_steps =
      result.work.candidate_steps / merged.problem.step_count() * std::uint64_t{problem.step_count()};
  return result;
}

}  // namespace gem
