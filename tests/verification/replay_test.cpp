#include "verification/replay.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "device/host/host_device.hpp"
#include "verification/mpi_expert_layer.hpp"

namespace gem {
namespace {

constexpr double seconds_an_expert = 1e-3;  // to make it resident

// An expert that multiplies its rows by expert + 1; its time is exactly the surface's.
class FakeDevice : public MoeDevice {
 public:
  explicit FakeDevice(double slowdown) : slowdown_(slowdown) {}

  DeviceDescription description() const override { return {"host", "fake", "nowhere", "", 0, slowdown_}; }
  PlacementCost place_experts(std::size_t layer, std::span<const ExpertId> experts) override {
    if (slots_.size() <= layer) slots_.resize(layer + 1);
    const std::vector<ExpertId> before = std::exchange(slots_[layer], {experts.begin(), experts.end()});
    const auto is_new = [&](ExpertId expert) { return std::ranges::count(before, expert) == 0; };
    return {0, seconds_an_expert * static_cast<double>(std::ranges::count_if(experts, is_new))};
  }
  double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float> input,
                 std::span<float> output) override {
    const std::size_t rows = std::accumulate(tokens_per_slot.begin(), tokens_per_slot.end(), std::size_t{0});
    const std::size_t hidden = rows == 0 ? 0 : input.size() / rows;
    std::size_t element = 0;
    for (std::size_t slot = 0; slot < tokens_per_slot.size(); ++slot)
      for (std::size_t i = 0; i < tokens_per_slot[slot] * hidden; ++i, ++element)
        output[element] = input[element] * static_cast<float>(slots_[layer][slot].value + 1) * distortion_;
    return time_layer(layer, tokens_per_slot);
  }
  double time_layer(std::size_t, std::span<const std::uint32_t> tokens_per_slot) override {
    std::uint32_t tiles = 0;
    for (std::uint32_t tokens : tokens_per_slot) tiles += tiles_of(tokens, 4);
    return tiles * slowdown_ * 1e-6;
  }
  void begin_measurement(std::uint64_t) override {}
  const DeviceKind& kind() const override { return host_kind(); }
  Telemetry telemetry() override { return {}; }
  void distort() { distortion_ = 1.5f; }

 private:
  double slowdown_;
  float distortion_ = 1.0f;
  std::vector<std::vector<ExpertId>> slots_;
};

constexpr std::size_t hidden_size = 8;
constexpr std::size_t expert_count = 8;

LoadTrace small_trace() {
  LoadTrace trace;
  trace.model = "fake";
  trace.task = "test";
  trace.top_k = 2;
  trace.tokens_per_step = 20;
  trace.layer_ids = {3, 4};
  trace.counts = Cube<std::uint32_t>(5, 2, expert_count);
  for (std::size_t step = 0; step < 5; ++step)
    for (std::size_t layer = 0; layer < 2; ++layer)
      for (std::size_t token = 0; token < 20; ++token) {
        ++trace.counts(step, layer, (token * token + step) % expert_count);
        ++trace.counts(step, layer, (token * token + step + 1 + layer) % expert_count);
      }
  return trace;
}

Mapping mapping_of(const std::string& method, std::size_t devices, bool linear) {
  Mapping mapping;
  mapping.method = method;
  mapping.device_count = devices;
  mapping.layer_ids = {3, 4};
  mapping.expert_to_device = Matrix<std::int32_t>(2, expert_count);
  for (std::size_t layer = 0; layer < 2; ++layer)
    for (std::size_t expert = 0; expert < expert_count; ++expert)
      mapping.expert_to_device(layer, expert) =
          static_cast<std::int32_t>(linear ? expert / (expert_count / devices) : (expert + layer) % devices);
  return mapping;
}

/// Each expert also on the device after its home: the home gets the larger half of its tokens.
Mapping with_copies(Mapping mapping) {
  mapping.method = "copied";
  if (mapping.device_count == 1) return mapping;
  mapping.redundant = Matrix<RedundantCopy>(2, expert_count);
  for (std::size_t layer = 0; layer < 2; ++layer)
    for (std::size_t expert = 0; expert < expert_count; ++expert)
      mapping.redundant(layer, expert) = {
          static_cast<std::int32_t>(expert),
          (mapping.expert_to_device(layer, expert) + 1) % static_cast<std::int32_t>(mapping.device_count)};
  return mapping;
}

LatencyProfile profile_of(std::size_t devices) {
  LatencyProfile profile;
  profile.tile_tokens = 4;
  profile.points = {{1, 1, 4}, {101, 1, 404}};
  profile.devices.resize(devices);
  profile.median_s = Matrix<double>(devices, 2);
  for (std::size_t d = 0; d < devices; ++d) {
    const double slowdown = 1.0 + 0.25 * static_cast<double>(d);
    profile.median_s(d, 0) = 1e-6 * slowdown;
    profile.median_s(d, 1) = 101e-6 * slowdown;
  }
  return profile;
}

VerificationReport replayed(FakeDevice& device, bool in_turns = false, bool compute_only = false) {
  const Communicator world = Communicator::world();
  const auto devices = static_cast<std::size_t>(world.size());
  const Turns turns(world, in_turns);
  const auto target =
      make_exchange_target(world, device, std::make_unique<MpiExpertLayer>(world, device, hidden_size, turns), turns,
                           {hidden_size, 2, 4096, compute_only});
  return replay(world, *target, small_trace(),
                {mapping_of("linear", devices, true), mapping_of("other", devices, false)},
                CostModel(profile_of(devices)), {}, [](std::size_t, std::size_t) {});
}

TEST(Replay, DataArrivesOutputsAgreeAndTimesMatchThePrediction) {
  const Communicator world = Communicator::world();
  FakeDevice device(1.0 + 0.25 * world.rank());
  const VerificationReport report = replayed(device);
  if (!world.is_root()) return;
  ASSERT_EQ(report.mappings.size(), 2u);
  for (const MappingReplay& replay : report.mappings) {
    EXPECT_EQ(replay.wrong_values, 0u);
    EXPECT_GT(replay.checked_values, 0u);
    EXPECT_LT(replay.output_error, 1e-6);
    ASSERT_EQ(replay.compute_s.columns(), static_cast<std::size_t>(world.size()));
    for (std::size_t i = 0; i < replay.compute_s.values().size(); ++i)
      EXPECT_NEAR(replay.compute_s.values()[i], replay.predicted_s.values()[i], 1e-12);
    for (double layer : replay.layer_s.values()) EXPECT_GT(layer, 0.0);
  }
}

TEST(Replay, InTurnsTheDevicesOwnTimesStandAndWholeLayersAreLeftOut) {
  const Communicator world = Communicator::world();
  FakeDevice device(1.0 + 0.25 * world.rank());
  const VerificationReport report = replayed(device, true);
  if (!world.is_root()) return;
  EXPECT_NEAR(report.mappings[0].compute_s(0, 0, 0), report.mappings[0].predicted_s(0, 0, 0), 1e-12);
  EXPECT_TRUE(std::isnan(report.mappings[0].layer_s(0, 0)));
  EXPECT_TRUE(std::isnan(summarize(report, 1)[1].layer_relative));
}

TEST(Replay, ComputeOnlyStillChecksTheExchange) {
  const Communicator world = Communicator::world();
  FakeDevice device(1.0 + 0.25 * world.rank());
  const VerificationReport report = replayed(device, true, true);
  if (!world.is_root()) return;
  EXPECT_GT(report.mappings[1].checked_values, 0u);
  EXPECT_EQ(report.mappings[1].wrong_values, 0u);
  EXPECT_NEAR(report.mappings[1].compute_s(4, 1, 0), report.mappings[1].predicted_s(4, 1, 0), 1e-12);
  EXPECT_TRUE(std::isnan(report.mappings[1].dispatch_s(4, 1, 0)));
}

TEST(Replay, WaitingEndsWhereTheSlowestDeviceDoes) {
  const Communicator world = Communicator::world();
  FakeDevice device(1.0 + 0.25 * world.rank());
  const VerificationReport whole = replayed(device), compute_only = replayed(device, false, true);
  if (!world.is_root()) return;
  for (const VerificationReport* report : {&whole, &compute_only})
    for (const MappingReplay& replay : report->mappings) {
      const Cube<double> waiting = waiting_of(replay);
      for (std::size_t step = 0; step < waiting.planes(); ++step)
        for (std::size_t layer = 0; layer < waiting.rows(); ++layer) {
          std::vector<double> ends;
          for (std::size_t d = 0; d < waiting.columns(); ++d)
            ends.push_back(waiting(step, layer, d) + replay.compute_s(step, layer, d) +
                           (report == &whole ? replay.dispatch_s(step, layer, d) : 0.0));
          for (double end : ends) EXPECT_NEAR(end, ends[0], 1e-12);
          EXPECT_EQ(std::ranges::min(waiting.row(step, layer)), 0.0) << "the slowest doesn't wait";
        }
    }
  const MappingSummary summary = summarize(compute_only, 1)[0];
  EXPECT_NEAR(summary.waiting_s + summary.compute_s, summary.straggler_s, 1e-12);
  EXPECT_NEAR(summary.waiting_share, summary.waiting_s / summary.straggler_s, 1e-12);
}

TEST(Replay, WhatIsDecidedInEveryStepComputesTheSameAndTakesWhatIsPredicted) {
  const Communicator world = Communicator::world();
  const auto devices = static_cast<std::size_t>(world.size());
  FakeDevice device(1.0 + 0.25 * world.rank());
  const Turns turns(world, false);
  const auto target =
      make_exchange_target(world, device, std::make_unique<MpiExpertLayer>(world, device, hidden_size, turns), turns,
                           {hidden_size, 2, 4096, false});
  const Mapping linear = mapping_of("linear", devices, true);
  const LoadTrace trace = small_trace();
  const CostModel model(profile_of(devices));
  ReplayOptions options;
  options.decided = {{}, {.split = CopySplit::Lp}, {.online_exact = true, .quota = Quota::Speed}};
  const VerificationReport report = replay(world, *target, trace, {linear, with_copies(linear), linear}, model, options,
                                           [](std::size_t, std::size_t) {});
  if (!world.is_root()) return;
  for (const MappingReplay& replay : report.mappings) {
    EXPECT_EQ(replay.wrong_values, 0u);
    EXPECT_GT(replay.checked_values, 0u);
    EXPECT_LT(replay.output_error, 1e-6);
  }
  const Cube<double>&lp = report.mappings[1].compute_s, &predicted = report.mappings[1].predicted_s;
  for (std::size_t i = 0; i < lp.values().size(); ++i) EXPECT_NEAR(lp.values()[i], predicted.values()[i], 1e-12);
  EXPECT_FALSE(report.mappings[1].copies);
  ASSERT_TRUE(report.mappings[2].copies);
  const CopiesMade& copies = *report.mappings[2].copies;
  std::size_t wanted = 0;
  StepHomes online({2, ExpertHomes(linear.expert_to_device.row(0))}, options.decided[2], model, trace, {});
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < 2; ++layer) wanted += online.copies_at(step, layer).count;
  EXPECT_NEAR(copies.count, static_cast<double>(wanted) / 10.0, 1e-12);
  EXPECT_EQ(copies.count > 0.0, devices > 1);
  EXPECT_EQ(copies.there_s > 0.0, devices > 1) << "bytes really travel";
  EXPECT_LE(copies.exposed_s, copies.there_s + 1e-12);
}

TEST(Replay, OnlyWhatDiffersIsMovedAndTimed) {
  const Communicator world = Communicator::world();
  const auto devices = static_cast<std::size_t>(world.size());
  FakeDevice device(1.0);
  const VerificationReport report = replayed(device, false, true);
  if (!world.is_root()) return;
  const Mapping linear = mapping_of("linear", devices, true), other = mapping_of("other", devices, false);
  std::vector<std::size_t> arrivals(devices, 0);
  for (std::size_t layer = 0; layer < 2; ++layer)
    for (std::size_t expert = 0; expert < expert_count; ++expert)
      if (linear.expert_to_device(layer, expert) != other.expert_to_device(layer, expert))
        ++arrivals[static_cast<std::size_t>(other.expert_to_device(layer, expert))];
  EXPECT_EQ(report.mappings[0].move_s, 0.0);
  EXPECT_NEAR(report.mappings[1].move_s, seconds_an_expert * static_cast<double>(std::ranges::max(arrivals)), 1e-12);
}

TEST(Replay, ADeviceThatComputesOtherwiseIsFound) {
  const Communicator world = Communicator::world();
  if (world.size() == 1) GTEST_SKIP() << "needs a second device";
  FakeDevice device(1.0);
  if (world.rank() == world.size() - 1) device.distort();
  const VerificationReport report = replayed(device);
  if (world.is_root()) {
    EXPECT_GT(report.mappings[0].output_error, 1e-3);
  }
}

TEST(Replay, RowsThatArriveInTheWrongPlaceAreCounted) {
  const Communicator world = Communicator::world();
  const auto ranks = static_cast<std::size_t>(world.size());
  const LoadTrace trace = small_trace();
  const Mapping mapping = mapping_of("linear", ranks, true);
  FakeDevice device(1.0);
  MpiExpertLayer layer(world, device, hidden_size, Turns(world, false));
  TokenRoutes routes =
      routes_of(trace.counts.row(0, 0), homes_of(mapping, 0), 2, ranks, static_cast<std::size_t>(world.rank()));
  std::vector<std::int32_t> resident(expert_count);
  std::iota(resident.begin(), resident.end(), 0);
  std::uint64_t checked = 0;
  layer.prepare(0, routes, resident);
  EXPECT_EQ(world.sum(layer.count_wrong(checked)), 0u);
  if (world.is_root()) {
    ASSERT_GE(routes.expert_row_of_received.size(), 2u);
    std::swap(routes.expert_row_of_received.front(), routes.expert_row_of_received.back());
  }
  layer.prepare(0, routes, resident);
  EXPECT_GT(world.sum(layer.count_wrong(checked)), 0u);
}

TEST(Replay, VirtualClocksNeedNoExchangeAndAnyNumberOfRanks) {
  const Communicator world = Communicator::world();
  std::vector<std::unique_ptr<MoeDevice>> devices;  // eight in all, dealt over the ranks in turn
  const std::size_t per_rank = 8 / static_cast<std::size_t>(world.size());
  for (std::size_t i = 0; i < per_rank; ++i)
    devices.push_back(std::make_unique<FakeDevice>(
        1.0 + 0.25 * static_cast<double>(static_cast<std::size_t>(world.rank()) * per_rank + i)));
  const auto target = make_clock_target(world, devices);
  const VerificationReport report = replay(world, *target, small_trace(), {mapping_of("linear", 8, true)},
                                           CostModel(profile_of(8)), {}, [](std::size_t, std::size_t) {});
  if (!world.is_root()) return;
  const MappingReplay& replayed_linear = report.mappings[0];
  EXPECT_TRUE(std::isnan(summarize(report, 1)[0].combine_s));
  for (std::size_t i = 0; i < replayed_linear.compute_s.values().size(); ++i)
    EXPECT_NEAR(replayed_linear.compute_s.values()[i], replayed_linear.predicted_s.values()[i], 1e-12);
}

TEST(Replay, AMappingOfOtherLayersIsRefused) {
  Mapping mapping = mapping_of("linear", 2, true);
  mapping.layer_ids = {3, 5};
  EXPECT_THROW(homes_for(mapping, small_trace()), DataError);
}

TEST(Replay, CopiesShareTokensAndGiveTheSameOutputs) {
  const Communicator world = Communicator::world();
  const auto ranks = static_cast<std::size_t>(world.size());
  FakeDevice device(1.0);
  const Turns turns(world, false);
  const auto target =
      make_exchange_target(world, device, std::make_unique<MpiExpertLayer>(world, device, hidden_size, turns), turns,
                           {hidden_size, 2, 4096, false});
  const std::vector<Mapping> mappings{mapping_of("linear", ranks, true), with_copies(mapping_of("x", ranks, false))};
  const VerificationReport report = replay(world, *target, small_trace(), mappings, CostModel(profile_of(ranks)), {},
                                           [](std::size_t, std::size_t) {});
  if (!world.is_root()) return;
  EXPECT_EQ(report.mappings[1].wrong_values, 0u);
  EXPECT_GT(report.mappings[1].checked_values, 0u);
  EXPECT_LT(report.mappings[1].output_error, 1e-6);
  const LoadTrace trace = small_trace();
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < 2; ++layer) {
      std::uint32_t max_rows = 0;
      for (std::size_t rank = 0; rank < ranks; ++rank) {
        std::int64_t tiles = 0, active = 0;
        std::uint32_t rows = 0;
        for (std::size_t expert = 0; expert < expert_count; ++expert) {
          const std::uint32_t tokens =
              homes_of(mappings[1], layer)
                  .tokens_on(static_cast<std::int32_t>(rank), expert, trace.counts(step, layer, expert));
          tiles += tiles_of(tokens, 4);
          active += tokens > 0;
          rows += tokens;
        }
        max_rows = std::max(max_rows, rows);
        EXPECT_DOUBLE_EQ(
            report.mappings[1].predicted_s(step, layer, rank),
            surfaces_of(profile_of(ranks))[rank].seconds(static_cast<double>(tiles), static_cast<double>(active)));
      }
      EXPECT_EQ(report.mappings[1].most_rows(step, layer), max_rows);
    }
}

}  // namespace
}  // namespace gem
