#include "search/model_search.hpp"

#include <algorithm>
#include <chrono>

#include "base/text.hpp"
#include "platform/progress.hpp"
#include "platform/shared_counter.hpp"

namespace gem {
namespace {

constexpr std::int64_t no_cost = INT64_MAX;

// Each layer's best over the ranks: the least (cost, start).
std::vector<LayerAnswer> agree(const Communicator& world, const std::vector<LayerAnswer>& mine,
                               std::size_t expert_count) {
  const std::size_t record = 2 + expert_count;
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
    best.push_back(
        {Assignment(at + 2, at + static_cast<std::ptrdiff_t>(record)), at[0], static_cast<std::size_t>(at[1])});
  return best;
}

}  // namespace

ModelAnswer search_model(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::function<std::vector<Assignment>(std::size_t layer)>& first_starts,
                         const SearchOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  const auto elapsed_s = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  };
  const auto out_of_time = [&] { return options.time_limit_s > 0.0 && elapsed_s() > options.time_limit_s; };
  SharedCounter counter(world);
  StoppingRule rule{options.iterations, [&] {
                      if (world.is_root()) counter.serve();
                      return out_of_time();
                    }};

  const std::size_t layer_count = problems.size(), unit_count = layer_count * std::max<std::size_t>(1, options.starts);
  std::vector<LayerAnswer> mine(layer_count, LayerAnswer{{}, no_cost, 0});
  std::uint64_t starts_run = 0, iterations_run = 0;
  SearchWork work;
  Progress progress("search", unit_count, options.show_progress && world.is_root());
  world.on_all([&] {
    for (;;) {
      const auto unit = static_cast<std::size_t>(counter.next());
      if (unit >= unit_count) return;
      // Every layer's first start before any layer's second: a time limit then costs quality, not layers.
      const std::size_t layer = unit % layer_count, start = unit / layer_count;
      progress.update(unit, format("layer %zu, start %zu", layer, start));
      if (start > 0 && out_of_time()) continue;
      RandomStream random{options.seed, layer, start};
      const std::vector<Assignment> given = first_starts(layer);
      const Assignment initial = start < given.size() ? given[start] : random_assignment(problems[layer], random);
      const StartResult result = run_start(problems[layer], initial, random, rule);
      ++starts_run;
      iterations_run += result.iterations;
      work.candidate_steps += result.work.candidate_steps;
      work.evaluated_steps += result.work.evaluated_steps;
      LayerAnswer& best = mine[layer];
      if (std::pair(result.cost, start) < std::pair(best.cost, best.start))
        best = {result.assignment, result.cost, start};
    }
  });

  ModelAnswer answer;
  answer.layers = agree(world, mine, problems.empty() ? 0 : problems[0].expert_count());
  answer.starts_run = world.sum(starts_run);
  answer.iterations_run = world.sum(iterations_run);
  answer.work = {world.sum(work.candidate_steps), world.sum(work.evaluated_steps)};
  answer.elapsed_s = world.max(elapsed_s());
  return answer;
}

void broadcast_trace(const Communicator& world, LoadTrace& trace) {
  for (std::string* text : {&trace.model, &trace.task, &trace.phase, &trace.part}) world.broadcast(*text);
  trace.top_k = world.broadcast(std::uint64_t{trace.top_k});
  trace.tokens_per_step = world.broadcast(std::uint64_t{trace.tokens_per_step});
  world.broadcast(trace.layer_ids);
  std::vector<std::uint64_t> sizes{trace.counts.planes(), trace.counts.rows(), trace.counts.columns()};
  world.broadcast(sizes);
  if (!world.is_root()) trace.counts = Cube<std::uint32_t>(sizes[0], sizes[1], sizes[2]);
  world.broadcast(trace.counts.values());
}

void broadcast_profile(const Communicator& world, LatencyProfile& profile) {
  world.broadcast(profile.model);
  profile.tile_tokens = world.broadcast(std::uint64_t{profile.tile_tokens});
  profile.devices.resize(world.broadcast(std::uint64_t{profile.devices.size()}));
  for (DeviceDescription& device : profile.devices) world.broadcast(device.name);
  std::vector<std::int64_t> numbers;
  for (const LoadPoint& point : profile.points)
    numbers.insert(numbers.end(), {point.tiles, point.active_experts, point.tokens});
  world.broadcast(numbers);
  profile.points.resize(numbers.size() / 3);
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    profile.points[p] = {numbers[3 * p], numbers[3 * p + 1], numbers[3 * p + 2]};
  if (!world.is_root()) profile.median_s = Matrix<double>(profile.devices.size(), profile.points.size());
  world.broadcast(profile.median_s.values());
}

}  // namespace gem
