#include "search/model_search.hpp"

#include <gtest/gtest.h>

#include "platform/shared_counter.hpp"
#include "search/baselines.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

std::uint64_t fingerprint(const ModelAnswer& answer) {
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](std::int64_t value) { hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211u; };
  for (const LayerAnswer& layer : answer.layers) {
    add(layer.cost);
    add(static_cast<std::int64_t>(layer.start));
    for (std::int32_t device : layer.assignment) add(device);
  }
  return hash;
}

TEST(ModelSearch, SameMappingOnAnyNumberOfRanks) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 5, 3);
  const auto starts = [&](std::size_t) { return std::vector<Assignment>{}; };
  SearchOptions options;
  options.starts = 5;
  options.iterations = 20;
  const ModelAnswer answer = search_model(world, made.problems, starts, options);
  // The same units, one after the other, by hand.
  std::vector<LayerAnswer> expected;
  for (std::size_t layer = 0; layer < 3; ++layer) {
    LayerAnswer best{{}, INT64_MAX, 0};
    for (std::size_t start = 0; start < 5; ++start) {
      RandomStream random{options.seed, layer, start};
      const Assignment initial = random_assignment(made.problems[layer], random);
      const StartResult result = run_start(made.problems[layer], initial, random, {options.iterations, {}});
      if (result.cost < best.cost) best = {result.assignment, result.cost, start};
    }
    expected.push_back(best);
  }
  for (std::size_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(answer.layers[layer].cost, expected[layer].cost);
    EXPECT_EQ(answer.layers[layer].start, expected[layer].start);
    EXPECT_EQ(answer.layers[layer].assignment, expected[layer].assignment);
  }
  const std::vector<std::uint64_t> all = world.all_gather(fingerprint(answer));
  for (std::uint64_t other : all) EXPECT_EQ(other, all[0]);
  EXPECT_EQ(answer.starts_run, 15u);
  EXPECT_EQ(answer.iterations_run, 300u);
}

TEST(ModelSearch, NeverWorseThanWhereItStarts) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 6, 2);
  const DeviceLatencies latencies(made.profile, LoadFeatures::TilesAndExperts);
  const auto starts = [&](std::size_t layer) {
    return std::vector<Assignment>{baseline_assignment(Method::SpeedAware, latencies, made.trace, layer)};
  };
  const ModelAnswer answer = search_model(world, made.problems, starts, {1, 1, 0, 0.0, false});
  for (std::size_t layer = 0; layer < 2; ++layer)
    EXPECT_LE(answer.layers[layer].cost, cost_of(made.problems[layer], starts(layer)[0]));
}

TEST(ModelSearch, ATimeLimitStillGivesEveryLayerAnAnswer) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 6, 4);
  SearchOptions options;
  options.starts = 1000000;
  options.iterations = 1000000;
  options.time_limit_s = 0.05;
  const ModelAnswer answer = search_model(
      world, made.problems, [](std::size_t) { return std::vector<Assignment>{}; }, options);
  EXPECT_LT(answer.elapsed_s, 20.0);
  for (std::size_t layer = 0; layer < 4; ++layer)
    EXPECT_EQ(answer.layers[layer].cost, cost_of(made.problems[layer], answer.layers[layer].assignment));
}

TEST(ModelSearch, EveryRankGetsTheTraceAndTheProfile) {
  const Communicator world = Communicator::world();
  LatencyProfile profile;
  LoadTrace trace;
  if (world.is_root()) {
    profile = testing::made_up_profile(3, 4);
    trace = testing::made_up_trace(7, 2, 6, 9);
  }
  broadcast_profile(world, profile);
  broadcast_trace(world, trace);
  EXPECT_EQ(trace.counts, testing::made_up_trace(7, 2, 6, 9).counts);
  EXPECT_EQ(trace.layer_ids.size(), 2u);
  EXPECT_EQ(profile.points, testing::made_up_profile(3, 4).points);
  EXPECT_EQ(profile.median_s, testing::made_up_profile(3, 4).median_s);
}

TEST(SharedCounter, DealsEveryNumberOnce) {
  const Communicator world = Communicator::world();
  SharedCounter counter(world);
  std::int64_t sum = 0, mine = 0;
  for (std::int64_t number = counter.next(); number < 1000; number = counter.next()) {
    sum += number;
    ++mine;
  }
  EXPECT_EQ(world.sum(mine), 1000);
  EXPECT_EQ(world.sum(sum), 999 * 1000 / 2);
}

}  // namespace
}  // namespace gem
