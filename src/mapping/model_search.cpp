#include "mapping/model_search.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <chrono>
#include <cmath>

#include "base/text.hpp"
#include "mapping/deal.hpp"
#include "platform/command_line/progress.hpp"

namespace gem {
namespace {

constexpr std::int64_t no_cost = INT64_MAX;

// Placements that are only compared needn't be local optima: each lacks about as much.
constexpr double rough_factor = 10.0;

// Each layer's best over the ranks: the least (cost, start).
std::vector<LayerAnswer> agree(const Communicator& world, const std::vector<LayerAnswer>& mine,
                               std::size_t most_experts) {
  const std::size_t record = 2 + most_experts;
  std::vector<std::int64_t> packed;
  for (const LayerAnswer& layer : mine) {
    packed.push_back(layer.cost);
    packed.push_back(static_cast<std::int64_t>(layer.start));
    packed.insert(packed.end(), layer.assignment.begin(), layer.assignment.end());
    packed.resize((packed.size() + record - 1) / record * record, -1);
  }
  const std::vector<std::int64_t> all = world.gather(std::span<const std::int64_t>(packed));
  for (std::size_t i = 0; i < all.size() / record; ++i) {
    const std::size_t ours = i % mine.size() * record, theirs = i * record;
    if (std::pair(all[theirs], all[theirs + 1]) < std::pair(packed[ours], packed[ours + 1]))
      std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(theirs), record,
                  packed.begin() + static_cast<std::ptrdiff_t>(ours));
  }
  world.broadcast(packed);
  std::vector<LayerAnswer> best;
  for (auto at = packed.begin(); at != packed.end(); at += static_cast<std::ptrdiff_t>(record))
    best.push_back({Assignment(at + 2, std::find(at + 2, at + static_cast<std::ptrdiff_t>(record), -1)), at[0],
                    static_cast<std::size_t>(at[1])});
  return best;
}

std::size_t most_experts(const std::vector<LayerProblem>& problems) {
  std::size_t most = 0;
  for (const LayerProblem& problem : problems) most = std::max(most, problem.expert_count());
  return most;
}

// All points on rank 0, in an order that does not depend on who found them.
std::vector<StartPoint> gather_history(const Communicator& world, const std::vector<StartPoint>& mine) {
  std::vector<std::int64_t> packed;
  for (const StartPoint& point : mine)
    packed.insert(packed.end(), {point.layer, point.start, std::llround(point.elapsed_s * 1e9), point.cost});
  const std::vector<std::int64_t> all = world.gather(std::span<const std::int64_t>(packed));
  std::vector<StartPoint> history;
  for (std::size_t i = 0; i < all.size(); i += 4)
    history.push_back({static_cast<std::int32_t>(all[i]), static_cast<std::int32_t>(all[i + 1]),
                       static_cast<double>(all[i + 2]) * 1e-9, all[i + 3]});
  std::stable_sort(history.begin(), history.end(), [](const StartPoint& a, const StartPoint& b) {
    return std::pair(a.layer, a.start) < std::pair(b.layer, b.start);
  });
  return history;
}

}  // namespace

ModelAnswer search_model(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::function<std::vector<Assignment>(std::size_t layer)>& first_starts,
                         const SearchOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const std::size_t layer_count = problems.size(), unit_count = layer_count * std::max<std::size_t>(1, options.starts);
  std::vector<LayerAnswer> mine(layer_count, LayerAnswer{{}, no_cost, 0});
  std::vector<StartPoint> history;
  std::uint64_t starts_run = 0, iterations_run = 0;
  SearchWork work;
  Progress progress("search", unit_count, options.show_progress && world.is_root());
  // Every layer's first start before any layer's second: a time limit then costs quality, not layers.
  const auto is_over = [&](std::size_t unit) { return unit >= layer_count && options.out_of_time(); };
  const auto run = [&](std::size_t unit, const SharedCounter& counter) {
    const std::size_t layer = unit % layer_count, start = unit / layer_count;
    LayerAnswer& best = mine[layer];
    progress.update(unit, best.cost == no_cost ? fmt::format("layer {}", layer)
                                               : fmt::format("layer {}, best {} a step", layer,
                                                             format_seconds(mean_seconds(problems[layer], best.cost))));
    RandomStream random{options.seed, layer, start};
    const std::vector<Assignment> given = first_starts(layer);
    const Assignment initial = start < given.size() ? given[start] : random_assignment(problems[layer], random);
    const StartRule rule{iterations_of(options, problems[layer]),
                         [&] {
                           counter.serve();
                           return options.out_of_time();
                         },
                         least_gain_of(problems[layer]) * (options.rough ? rough_factor : 1.0), !options.rough};
    const StartResult result = run_start(problems[layer], initial, random, rule);
    for (const CostAt& point : result.history)
      history.push_back(
          {static_cast<std::int32_t>(layer), static_cast<std::int32_t>(start), point.elapsed_s, point.cost});
    ++starts_run;
    iterations_run += result.iterations;
    work.candidate_steps += result.work.candidate_steps;
    work.evaluated_steps += result.work.evaluated_steps;
    if (std::pair(result.cost, start) < std::pair(best.cost, best.start))
      best = {result.assignment, result.cost, start};
  };
  deal(world, unit_count, run, is_over);

  ModelAnswer answer;
  answer.elapsed_s = world.max(elapsed_s());
  answer.layers = agree(world, mine, most_experts(problems));
  answer.history = gather_history(world, history);
  answer.starts_run = world.sum(starts_run);
  answer.iterations_run = world.sum(iterations_run);
  answer.work = {world.sum(work.candidate_steps), world.sum(work.evaluated_steps)};
  return answer;
}

}  // namespace gem
