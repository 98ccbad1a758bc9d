// Weights that really move between ranks, on host devices.
#include "adaptation/follow_devices.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "adaptation/adaptation_job.hpp"
#include "device/host/host_device.hpp"
#include "search/random_problem.hpp"
#include "verification/mpi_expert_layer.hpp"
#include "workload/synthesis.hpp"

namespace gem {
namespace {

constexpr std::size_t expert_count = 8, hidden_size = 32;

HostDevice tiny_device(std::size_t weight_layers = 0) {
  HostDeviceOptions options;
  options.expert = {hidden_size, 16};
  options.tile_tokens = 4;
  options.weight_layers = weight_layers;
  return HostDevice(options);
}

std::vector<ExpertId> experts_of(const Assignment& assignment, int rank) {
  std::vector<ExpertId> experts;
  for (std::size_t expert = 0; expert < assignment.size(); ++expert)
    if (assignment[expert] == rank) experts.push_back(ExpertId{static_cast<std::int32_t>(expert)});
  return experts;
}

Assignment dealt(int ranks) {
  Assignment assignment;
  for (std::size_t expert = 0; expert < expert_count; ++expert)
    assignment.push_back(static_cast<std::int32_t>(expert) % ranks);
  return assignment;
}

// Outputs of one step under the assignment, whatever the order of a rank's slots.
std::vector<float> outputs_of(const Communicator& ranks, HostDevice& device, const Assignment& assignment,
                              const std::vector<std::int32_t>& slots) {
  MpiExpertLayer layer(ranks, device, hidden_size, Turns(ranks, false));
  const std::vector<std::uint32_t> counts{5, 9, 2, 7, 1, 3, 8, 5};
  layer.prepare(0,
                in_slot_order(routes_of(counts, ExpertHomes(assignment), 2, static_cast<std::size_t>(ranks.size()),
                                        static_cast<std::size_t>(ranks.rank())),
                              slots),
                slots);
  layer.run();
  return layer.outputs();
}

TEST(ExpertMover, OutputsAreTheSameToTheBitBeforeDuringAndAfter) {
  const Communicator ranks = Communicator::world();
  HostDevice device = tiny_device();
  const Assignment from = dealt(ranks.size());
  Assignment to = from;
  for (const std::size_t expert : {0, 2}) std::swap(to[expert], to[expert + 1]);
  const std::vector<ExpertId> held = experts_of(from, ranks.rank());
  device.place_experts(0, held);
  std::vector<std::int32_t> slots;
  for (const ExpertId expert : held) slots.push_back(expert.value);
  const std::vector<float> before = outputs_of(ranks, device, from, slots);

  const auto mover = make_mpi_expert_mover(ranks, device);
  std::vector<Assignment> present{from};
  MoveQueue queue;
  queue.want({{0, to}});
  device.reserve_spares(expert_count);
  while (!queue.is_empty()) {
    const MoveBatch batch = queue.next(present, 3);
    if (batch.transfers.empty()) break;
    mover->begin(0, batch);
    EXPECT_EQ(outputs_of(ranks, device, from, slots), before) << "while weights are on their way";
    mover->wait();
    EXPECT_EQ(outputs_of(ranks, device, from, slots), before) << "with weights in spare places";
    ranks.barrier();
    if (batch.completes) queue.complete(present);
  }
  for (const SlotChange& change : slot_changes(from, to, ranks.rank())) {
    device.replace(0, ExpertId{change.leaving}, ExpertId{change.arriving}, change.place);
    std::ranges::replace(slots, change.leaving, change.arriving);
  }
  EXPECT_EQ(outputs_of(ranks, device, to, slots), before);
  if (ranks.size() > 1) {
    EXPECT_NE(from, to);
  }
}

TEST(ExpertMover, WhatArrivesIsWhatWasSent) {
  HostDevice one = tiny_device(), other = tiny_device();
  one.place_experts(0, std::vector<ExpertId>{ExpertId{3}});
  other.place_experts(0, std::vector<ExpertId>{ExpertId{5}});
  other.reserve_spares(1);
  std::vector<std::byte> bytes(one.expert_bytes());
  one.read_expert(0, ExpertId{3}, bytes);
  other.write_spare(0, bytes);
  const std::vector<float> input(hidden_size, 0.5f);
  std::vector<float> expected(hidden_size), found(hidden_size), old(hidden_size);
  one.compute(0, std::vector<std::uint32_t>{1}, input, expected);
  other.compute(0, std::vector<std::uint32_t>{1}, input, old);
  EXPECT_NE(old, expected) << "a spare place isn't resident";
  other.replace(0, ExpertId{5}, ExpertId{3}, 0);
  other.compute(0, std::vector<std::uint32_t>{1}, input, found);
  EXPECT_EQ(found, expected);
}

LoadTrace task(std::uint64_t seed) {
  SynthesisOptions options;
  options.expert_count = expert_count;
  options.top_k = 2;
  options.tokens_per_step = 64;
  options.layer_ids = {0, 1};
  options.steps = 60;
  options.seed = seed;
  return synthesize_trace(options);
}

// Periodic policies move much, whatever these devices take.
AdaptationReport run(Moving moving, std::size_t moves_a_step) {
  const Communicator ranks = Communicator::world();
  const auto devices = static_cast<std::size_t>(ranks.size());
  HostDevice device = tiny_device(2);
  MpiExpertLayer layer(ranks, device, hidden_size, Turns(ranks, false));
  const auto mover = make_mpi_expert_mover(ranks, device);
  AdaptationOptions policies;
  policies.train_steps = 16;
  policies.window = 32;
  policies.engine_window = 16;
  policies.engine_interval = 16;
  policies.horizon_steps = 1e6;
  FollowOptions options;
  options.moving = moving;
  options.moves_a_step = moves_a_step;
  return follow_on_devices(ranks, {device, layer, *mover}, testing::made_up_profile(devices, expert_count),
                           make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 64, {{36, 0, 1.5}}, devices), policies,
                           options, [](std::size_t) {});
}

void expect_right(const AdaptationReport& report, std::size_t budget) {
  const Communicator ranks = Communicator::world();
  if (!ranks.is_root()) return;
  ASSERT_EQ(report.policy_count(), 6u);
  for (std::size_t p = 0; p < report.policy_count(); ++p) {
    EXPECT_EQ(report.output_error[p], 0.0) << report.policies[p];
    EXPECT_EQ(report.unequal_values[p], 0) << report.policies[p];
    EXPECT_GT(report.checked_values[p], 0);
    for (std::size_t step = 0; step < report.step_count(); ++step) {
      EXPECT_GT(report.step_s(p, step), 0.0);
      if (report.moved(p, step) == 0) continue;
      EXPECT_GT(report.pause_s(p, step), 0.0) << report.policies[p];
      if (report.policies[p] == judged_policy) {
        EXPECT_LE(report.moved(p, step), budget);
      }
    }
  }
  if (ranks.size() == 1) return;
  const auto moved = report.moved.row(3);  // periodic gem
  EXPECT_GT(std::accumulate(moved.begin(), moved.end(), 0u), 0u);
}

TEST(FollowDevices, WeightsMoveInPausesAndOutputsStayEqual) {
  expect_right(run(Moving::Pause, SIZE_MAX), SIZE_MAX);
}

TEST(FollowDevices, WeightsMoveBesideStepsWithinABudgetAndOutputsStayEqual) {
  expect_right(run(Moving::During, 2), 2);
}

TEST(AdaptationJob, SimulatedPoliciesAreDealtAndTheAnswerIsTheSame) {
  const Communicator ranks = Communicator::world();
  AdaptationRequest request;
  request.policies.train_steps = 16;
  request.policies.window = 32;
  request.policies.engine_window = 16;
  request.policies.engine_interval = 16;
  const LatencyProfile profile = testing::made_up_profile(4, expert_count);
  const Drift drift = make_drift({task(1), task(2)}, TaskOrder::InTurn, 1, 80, {{40, 1, 1.3}}, 4);
  const auto nothing = [](std::size_t) {};
  const AdaptationReport together = run_adaptation(ranks, request, profile, drift, 1e-6, nothing),
                         alone = run_adaptation(Communicator::self(), request, profile, drift, 1e-6, nothing);
  if (!ranks.is_root()) return;
  EXPECT_EQ(together.step_s.values(), alone.step_s.values());
  EXPECT_EQ(together.pause_s.values(), alone.pause_s.values());
  EXPECT_EQ(together.moved.values(), alone.moved.values());
  EXPECT_EQ(together.believed_slowdown.values(), alone.believed_slowdown.values());
}

}  // namespace
}  // namespace gem
