// Speed of the search on one core: look-ups, swaps, local optima, proofs. tests/benchmark/search.md tells how it is run
// and what was seen.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <ctime>

#include "adaptation/policies.hpp"
#include "mapping/baselines.hpp"
#include "search/exact_search.hpp"
#include "search/layer_search.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "search/remap.hpp"
#include "search/step_kernels.hpp"
#include "search/water_filling.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

// The shapes that figures are given for; loads are synthetic, devices differ by 1.28.
struct Shape {
  const char* name;
  std::size_t layers, experts, top_k, devices, steps, tokens;
};
constexpr Shape shapes[] = {
    {"llama-4-scout", 48, 16, 1, 4, 16, 256},
    {"gpt-oss-20b", 24, 32, 4, 8, 128, 256},
    {"64-experts", 26, 64, 6, 8, 130, 256},
    {"deepseek-v3", 58, 256, 8, 32, 1000, 1024},
    {"deepseek-v3, 64 steps", 58, 256, 8, 32, 64, 1024},
};
constexpr std::int64_t window = 4;

struct Instance {
  LatencyProfile profile;
  LoadTrace trace;
  std::vector<LayerProblem> problems;
  std::vector<Assignment> starts;  // speed-aware packing, [layer]
};

Instance instance_of(const Shape& shape) {
  SynthesisOptions options;
  options.expert_count = shape.experts;
  options.top_k = shape.top_k;
  for (std::size_t layer = 0; layer < shape.layers; ++layer)
    options.layer_ids.push_back(static_cast<std::int32_t>(layer));
  options.tokens_per_step = shape.tokens;
  options.steps = shape.steps;
  Instance instance{
      testing::made_up_profile(shape.devices, shape.experts / shape.devices), synthesize_trace(options), {}, {}};
  const CostModel model(instance.profile);
  instance.problems = layer_problems(model, instance.trace);
  instance.starts = assignments_of(packed_mapping(PackedBy::Speed, model, instance.trace, {}));
  return instance;
}

const Instance& instance_of(const benchmark::State& state) {
  static std::vector<Instance> instances(std::size(shapes));
  Instance& instance = instances[static_cast<std::size_t>(state.range(0))];
  if (instance.problems.empty()) instance = instance_of(shapes[state.range(0)]);
  return instance;
}

void report(benchmark::State& state, const SearchWork& work) {
  state.SetLabel(shapes[state.range(0)].name);
  state.counters["equivalent/s"] =
      benchmark::Counter(static_cast<double>(work.candidate_steps), benchmark::Counter::kIsRate);
  state.counters["evaluated/s"] =
      benchmark::Counter(static_cast<double>(work.evaluated_steps), benchmark::Counter::kIsRate);
}

// The limit: single look-ups in a table that stays in the first cache.
void look_ups(benchmark::State& state) {
  constexpr std::size_t count = 1024;
  RandomStream random{1};
  std::vector<std::int32_t> table(1000, 7), load(count), time(count);
  for (std::int32_t& key : load) key = static_cast<std::int32_t>(random.below(table.size()));
  for (auto _ : state) {
    look_up(time.data(), {load.data(), nullptr}, table.data(), count);
    benchmark::DoNotOptimize(time.data());
  }
  state.counters["look-ups/s"] =
      benchmark::Counter(static_cast<double>(state.iterations() * count), benchmark::Counter::kIsRate);
}
BENCHMARK(look_ups);

// Full sums of swaps over all steps, two look-ups a candidate-step.
void swap_sums(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  const LayerProblem& problem = instance.problems[0];
  const Placement placement(problem, instance.starts[0]);
  std::vector<std::int32_t> others;
  placement.slowest_of_others(0, 1, others);
  const SwapSteps steps = placement.swap_steps(0, 1, others);
  std::uint64_t summed = 0;
  for (auto _ : state)
    for (std::int32_t first : placement.experts_of(0))
      for (std::int32_t second : placement.experts_of(1))
        benchmark::DoNotOptimize(
            swapped_excess(steps, problem.row(first), problem.row(second), others.size(), INT64_MAX, summed));
  report(state, {summed, summed});
}
BENCHMARK(swap_sums)->DenseRange(0, 3);

// From speed-aware packing to the first local optimum, all layers.
void first_local_optimum(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  SearchWork work;
  for (auto _ : state)
    for (std::size_t layer = 0; layer < instance.problems.size(); ++layer) {
      Placement placement(instance.problems[layer], instance.starts[layer]);
      Descent descent;
      descent.run(placement);
      work.candidate_steps += descent.work().candidate_steps;
      work.evaluated_steps += descent.work().evaluated_steps;
    }
  report(state, work);
}
BENCHMARK(first_local_optimum)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

// Twenty iterations of iterated local search on one layer, from its first local optimum on.
void iterations(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  Placement placement(instance.problems[0], instance.starts[0]);
  Descent().run(placement);
  SearchWork work;
  for (auto _ : state) {
    const StartResult result = run_start(instance.problems[0], placement.assignment(), RandomStream{1}, {20, {}});
    work.candidate_steps += result.work.candidate_steps;
    work.evaluated_steps += result.work.evaluated_steps;
  }
  report(state, work);
}
BENCHMARK(iterations)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

// All layers anew from what other steps were searched for, with at most four moves a layer; keys and tables included.
void remap_within_four_moves(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  const CostModel model(instance.profile);
  SynthesisOptions before;
  before.expert_count = instance.trace.expert_count();
  before.layer_ids = instance.trace.layer_ids;
  before.top_k = instance.trace.top_k;
  before.tokens_per_step = instance.trace.tokens_per_step;
  before.steps = instance.trace.step_count();
  before.seed = 2;
  const Mapping present = packed_mapping(PackedBy::Speed, model, synthesize_trace(before), {});
  for (auto _ : state) {
    const std::vector<LayerProblem> problems = layer_problems(model, instance.trace);
    for (std::size_t layer = 0; layer < problems.size(); ++layer)
      benchmark::DoNotOptimize(remap_front(problems[layer], slots_of(present, layer), {.max_moves = 4}));
  }
  state.SetLabel(shapes[state.range(0)].name);
}
BENCHMARK(remap_within_four_moves)->Arg(window)->Unit(benchmark::kMillisecond);

// What triggered gem takes before the steps of a run whose task changes once: of all steps on average, and of the
// longest look, at which it searches all layers.
void triggered_decisions(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  SynthesisOptions task;
  task.expert_count = instance.trace.expert_count();
  task.layer_ids = instance.trace.layer_ids;
  task.top_k = instance.trace.top_k;
  task.tokens_per_step = instance.trace.tokens_per_step;
  task.steps = 256;
  std::vector<LoadTrace> tasks;
  for (task.seed = 1; task.seed <= 2; ++task.seed) tasks.push_back(synthesize_trace(task));
  const std::size_t steps = 512;
  const Drift drift = make_drift(tasks, TaskOrder::InTurn, 1, steps, {}, instance.profile.device_count());
  AdaptationOptions options;
  options.move_s = 1e-4;
  const LoadTrace train = steps_of(drift.trace, 0, options.train_steps);
  const auto first = assignments_of(packed_mapping(PackedBy::Speed, CostModel(instance.profile), train, {}));
  double all_s = 0.0, longest_s = 0.0, changed = 0.0;
  for (auto _ : state) {
    std::vector<Assignment> placement = first;
    const auto policy = make_triggered_policy(instance.profile, drift, options);
    for (std::size_t step = options.train_steps; step < steps; ++step) {
      const std::clock_t begin = std::clock();
      std::vector<LayerChange> changes = policy->decide(step, placement);
      const double took_s = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
      all_s += took_s;
      longest_s = std::max(longest_s, took_s);
      changed += static_cast<double>(changes.size());
      for (LayerChange& change : changes) placement[change.layer] = std::move(change.assignment);
    }
  }
  const auto runs = static_cast<double>(state.iterations());
  state.counters["mean_ms_a_step"] = all_s * 1e3 / runs / static_cast<double>(steps - options.train_steps);
  state.counters["longest_ms"] = longest_s * 1e3;
  state.counters["layers_changed"] = changed / runs;
  state.SetLabel(shapes[state.range(0)].name);
}
BENCHMARK(triggered_decisions)->Arg(1)->Arg(window)->Unit(benchmark::kMillisecond)->Iterations(1);

// Keys and latency tables from a trace, all layers.
void preparation(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  const CostModel model(instance.profile);
  for (auto _ : state) benchmark::DoNotOptimize(layer_problems(model, instance.trace));
  state.SetLabel(shapes[state.range(0)].name);
}
BENCHMARK(preparation)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

void water_filling(benchmark::State& state) {
  const Instance& instance = instance_of(state);
  for (auto _ : state) {
    const WaterFilling filling(instance.problems[0].tables());
    for (const LayerProblem& problem : instance.problems) benchmark::DoNotOptimize(filling.bound(problem));
  }
  state.SetLabel(shapes[state.range(0)].name);
}
BENCHMARK(water_filling)->DenseRange(0, 3)->Unit(benchmark::kMillisecond);

// Proof of one layer's optimum: 16 experts on 4 devices, 63 million assignments.
void proof(benchmark::State& state) {
  const auto steps = static_cast<std::size_t>(state.range(0));
  const Instance instance = instance_of(Shape{"", 1, 16, 1, 4, steps, 256});
  const ExactSearch exact(16, 4);
  const Assignment found = run_start(instance.problems[0], instance.starts[0], RandomStream{1}, {50, {}}).assignment;
  for (auto _ : state)
    if (!exact.solve(instance.problems[0], found).proven) state.SkipWithError("not proven");
}
BENCHMARK(proof)->Arg(16)->Arg(128)->Arg(512)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace gem

BENCHMARK_MAIN();
