#include "profile/sweep.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <numeric>
#include <set>
#include <span>
#include <vector>

#include "base/error.hpp"
#include "device/device_factory.hpp"
#include "device/host/host_device.hpp"
#include "model/latency_profile_fields.hpp"
#include "model/load_trace.hpp"
#include "model/moe_model.hpp"
#include "profile/plan.hpp"
#include "profile/profile_request.hpp"
#include "random_fields.hpp"

namespace gem {
namespace {

// Keeps the profile in memory; can begin with what an earlier run left, and fail like a full disk.
class MemorySink : public ProfileSink {
 public:
  LatencyProfile begin(const LatencyProfile& plan) override {
    return earlier.points.empty() ? unmeasured(plan) : earlier;
  }
  void grow(const LatencyProfile& profile) override {
    if (points.size() == room) throw SystemError("profile.h5: no space left on device");
    points.push_back(measured_count(profile));
  }
  void stop(const LatencyProfile& profile) override { stopped = profile; }
  void finish(const LatencyProfile& profile) override { finished = profile; }

  LatencyProfile earlier, stopped, finished;
  std::vector<std::size_t> points;  // measured, call by call
  std::size_t room = SIZE_MAX;
};

constexpr std::size_t experts_per_device = 4;

DeviceOptions simulated_devices() {
  return {.kind = "simulated", .device_count = 8, .expert = {256, 128}, .slowdowns = {1.0, 1.28}, .seed = 3};
}

LatencyProfile plan_for(const Communicator& ranks, DeviceList devices) {
  LatencyProfile plan;
  plan.model = "test";
  plan.expert = {256, 128};
  plan.tile_tokens = 16;
  plan.experts_per_device = experts_per_device;
  plan.points = make_plan({.experts_per_device = experts_per_device, .tile_tokens = 16, .max_tokens = 400});
  plan.devices = gather_descriptions(ranks, devices);
  return plan;
}

LatencyProfile sweep_simulated(const Communicator& ranks, MemorySink& sink) {
  const auto devices = make_devices(simulated_devices(), ranks);
  place_for_sweep(devices, 0, experts_per_device, 1);
  return run_sweep(ranks, devices, plan_for(ranks, devices), {}, sink);
}

// A host device that counts what it is asked for, and whose clock can be read.
class CountingDevice : public HostDevice {
 public:
  CountingDevice() : HostDevice({.expert = {16, 8}, .tile_tokens = 16}) {}
  double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) override {
    rows += row_count(tokens_per_slot);
    ++calls;
    return HostDevice::time_layer(layer, tokens_per_slot);
  }
  Telemetry telemetry() override {
    Telemetry telemetry = unknown_telemetry();
    telemetry.sm_clock_hz = 1.5e9;
    return telemetry;
  }
  std::size_t rows = 0, calls = 0;
};

// A device on which even loads take twice as long.
class FondOfUneven : public CountingDevice {
 public:
  double time_layer(std::size_t, std::span<const std::uint32_t> tokens_per_slot) override {
    ways.insert({tokens_per_slot.begin(), tokens_per_slot.end()});
    const auto [least, most] = std::ranges::minmax(tokens_per_slot);
    return least == most ? 2e-4 : 1e-4;
  }
  std::set<std::vector<std::uint32_t>> ways;
};

// Of a point of two tiles on each of four experts, 20 rows less than they hold.
double measured_s(std::size_t uneven_ways, std::size_t* ways) {
  const Communicator world = Communicator::world();
  std::vector<std::unique_ptr<MoeDevice>> devices;
  devices.push_back(std::make_unique<FondOfUneven>());
  LatencyProfile plan = plan_for(world, devices);
  plan.points = {{8, 4, 108}};
  SweepOptions options;
  options.uneven_ways = uneven_ways;
  options.measurement.device_warm_up_s = 0.0;
  options.measurement.stopping.max_samples = options.measurement.stopping.min_samples = 12;
  MemorySink sink;
  run_sweep(world, devices, plan, options, sink);
  *ways = static_cast<FondOfUneven&>(*devices.front()).ways.size();
  return world.is_root() ? sink.finished.median_s(0, 0) : 0.0;
}

TEST(Sweep, SpreadsPointsUnevenlyWhereToldTo) {
  std::size_t ways = 0;
  const bool root = Communicator::world().is_root();
  EXPECT_EQ(measured_s(0, &ways), root ? 2e-4 : 0.0);
  EXPECT_EQ(ways, 1u);
  EXPECT_EQ(measured_s(6, &ways), root ? 1e-4 : 0.0);
  EXPECT_EQ(ways, 6u);
}

TEST(Pace, StepsAreRunUntilTheyHaveTheSamplesRows) {
  std::vector<std::unique_ptr<MoeDevice>> devices;
  devices.push_back(std::make_unique<CountingDevice>());
  auto& device = static_cast<CountingDevice&>(*devices.front());
  const ExpertId experts[] = {{0}, {1}};
  device.place_experts(0, experts);
  ServingPace pace(devices, {{8, 4}, std::nullopt, 0.5}, false);
  const auto begin = std::chrono::steady_clock::now();
  pace.run(0, 120);
  EXPECT_GE(device.rows, 120u);
  EXPECT_EQ(device.rows, 12 * device.calls);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1)) << "steps and pauses";
  const std::size_t calls = device.calls;
  ServingPace(devices, {{8, 4}, std::nullopt, 0.5}, true).run(0, 120);
  EXPECT_EQ(device.calls, calls) << "on a virtual clock the noise is that of samples alone";
}

TEST(Pace, OfServingIsKeptBetweenSamples) {
  const Communicator world = Communicator::world();
  std::vector<std::unique_ptr<MoeDevice>> devices;
  devices.push_back(std::make_unique<CountingDevice>());
  const ExpertId experts[] = {{0}, {1}};
  devices.front()->place_experts(0, experts);
  LatencyProfile plan = plan_for(world, devices);
  plan.experts_per_device = 2;
  plan.points = {{1, 1, 16}, {2, 2, 32}};
  SweepOptions options;
  options.measurement.stopping.max_samples = options.measurement.stopping.min_samples = 3;
  options.measurement.device_warm_up_s = 0.0;
  options.measurement.paced = PacedStep{{100, 100}, std::nullopt, 0.0};
  MemorySink sink;
  const LatencyProfile profile = run_sweep(world, devices, plan, options, sink);
  EXPECT_GE(static_cast<CountingDevice&>(*devices.front()).rows, 200u * 2 * 3) << "a step before each sample";
  if (world.is_root()) {
    EXPECT_EQ(profile.serving_clock_hz, std::vector<double>(static_cast<std::size_t>(world.size()), 1.5e9));
  }
}

TEST(Pace, OfServingChangesNothingOnAVirtualClock) {
  const Communicator world = Communicator::world();
  MemorySink sink, paced_sink;
  const LatencyProfile busy = sweep_simulated(world, sink);
  const auto devices = make_devices(simulated_devices(), world);
  place_for_sweep(devices, 0, experts_per_device, 1);
  SweepOptions options;
  const MoeModel model = model_of_option("gpt-oss-20b");
  options.measurement.paced = PacedStep{{8, 8, 8, 8}, DecoderWork{model, 8, 64, 1}, 0.2};
  const LatencyProfile paced = run_sweep(world, devices, plan_for(world, devices), options, paced_sink);
  EXPECT_EQ(paced.median_s, busy.median_s);
}

TEST(Sweep, EveryDeviceHasEveryPoint) {
  const Communicator world = Communicator::world();
  MemorySink sink;
  const LatencyProfile profile = sweep_simulated(world, sink);
  if (!world.is_root()) {
    EXPECT_TRUE(sink.points.empty());
    return;
  }
  EXPECT_EQ(sink.points.size(), profile.points.size());
  EXPECT_EQ(sink.points.front(), 1u);
  EXPECT_EQ(sink.finished.median_s, profile.median_s);
  ASSERT_EQ(profile.device_count(), 8u);
  ASSERT_EQ(profile.median_s.rows(), 8u);
  const SimulatedDevice fast({.expert = {256, 128}}), slow({.expert = {256, 128}, .slowdown = 1.28});
  for (std::size_t d = 0; d < 8; ++d) {
    EXPECT_EQ(profile.devices[d].emulated_slowdown, d % 2 == 0 ? 1.0 : 1.28);
    for (std::size_t p = 0; p < profile.points.size(); ++p) {
      const auto tiles = static_cast<std::size_t>(profile.points[p].tiles);
      const auto active = static_cast<std::size_t>(profile.points[p].active_experts);
      EXPECT_NEAR(profile.median_s(d, p) / (d % 2 == 0 ? fast : slow).noiseless_s(tiles, active), 1.0, 0.01);
      EXPECT_GE(profile.p95_s(d, p), profile.median_s(d, p));
      EXPECT_EQ(profile.settled(d, p), 1);
      EXPECT_TRUE(std::isnan(profile.power_w(d, p)));
      EXPECT_GT(profile.samples_s(d, p, 9), 0.0f);
    }
    EXPECT_NEAR(sink.finished.drift[d], 0.0, 0.01);
    EXPECT_NE(sink.finished.drift[d], 0.0) << "measured again, not copied";
  }
}

TEST(Sweep, SameProfileOnAnyNumberOfRanks) {
  const Communicator world = Communicator::world();
  MemorySink together, alone;
  const LatencyProfile profile = sweep_simulated(world, together);
  if (!world.is_root()) return;
  const Communicator self = Communicator::self();
  const LatencyProfile reference = sweep_simulated(self, alone);
  EXPECT_EQ(profile.points, reference.points);
  EXPECT_EQ(profile.median_s, reference.median_s);
  EXPECT_EQ(profile.p95_s, reference.p95_s);
  EXPECT_EQ(profile.settled, reference.settled);
  EXPECT_EQ(together.finished.drift, alone.finished.drift);
  together.finished.devices = alone.finished.devices;  // they know their rank
  test::expect_same_fields(together.finished, alone.finished);
}

TEST(Sweep, AResumedSweepMeasuresTheRestAlike) {
  const Communicator world = Communicator::world();
  MemorySink whole, resumed;
  const LatencyProfile expected = sweep_simulated(world, whole);
  std::size_t missing = 0;
  if (world.is_root()) {
    resumed.earlier = expected;
    for (std::size_t p = 0; p < expected.points.size(); p += 3, ++missing)
      for (std::size_t d = 0; d < 8; ++d) {
        resumed.earlier.median_s(d, p) = resumed.earlier.p95_s(d, p) = NAN;
        std::ranges::fill(resumed.earlier.samples_s.row(d, p), NAN);
      }
  }
  const LatencyProfile profile = sweep_simulated(world, resumed);
  if (!world.is_root()) return;
  EXPECT_EQ(resumed.points.size(), missing);
  test::expect_same_fields(profile, expected);
}

TEST(Sweep, AskedToStopItSavesWhatIsThere) {
  const Communicator world = Communicator::world();
  MemorySink sink;
  const auto devices = make_devices(simulated_devices(), world);
  place_for_sweep(devices, 0, experts_per_device, 1);
  std::size_t asked = 0;
  SweepOptions options;
  options.stop_requested = [&] { return ++asked == 3; };
  EXPECT_THROW(run_sweep(world, devices, plan_for(world, devices), options, sink), AgreedError);
  if (world.is_root()) {
    EXPECT_EQ(measured_count(sink.stopped), 3u);
  }
}

// A device on a real clock that keeps a list of its loads; the clock of the GPU that it plays slows down all the time.
class SlowingDevice : public MoeDevice {
 public:
  DeviceDescription description() const override { return {}; }
  PlacementCost place_experts(std::size_t, std::span<const ExpertId>) override { return {}; }
  double compute(std::size_t, std::span<const std::uint32_t>, std::span<const float>, std::span<float>) override {
    return 0.0;
  }
  double time_layer(std::size_t, std::span<const std::uint32_t> tokens) override {
    loads.push_back(tokens[0]);
    return 1e-4 * (1.0 + 1e-3 * static_cast<double>(loads.size()));
  }
  void begin_measurement(std::uint64_t) override {}
  const DeviceKind& kind() const override { return host_kind(); }
  Telemetry telemetry() override { return {1.5e9, 700.0, 60.0, 4}; }

  std::vector<std::uint32_t> loads;
};

TEST(Measurement, GoesRoundTheLoadsSoThatAllSeeTheSameClock) {
  const Communicator world = Communicator::world();
  std::vector<std::unique_ptr<MoeDevice>> devices;
  devices.push_back(std::make_unique<SlowingDevice>());
  MeasurementOptions options;
  options.stopping = {.confidence_width = 1e-9, .min_samples = 20, .max_samples = 20};
  options.block_loads = 3;
  std::vector<MeasuredLoad> loads;
  for (std::uint32_t i = 0; i < 6; ++i)
    loads.push_back({i, [i](std::size_t) { return std::vector<std::uint32_t>{i}; }});
  std::vector<std::size_t> order;
  Measurement measurement(world, devices, options);
  const std::vector<Samples> samples =
      measurement.measure(loads, [&](std::size_t i, const Samples&) { order.push_back(i); });
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4, 5}));
  std::vector<double> means;
  for (const Samples& one : samples) {
    EXPECT_EQ(one[0].latency_s.size(), 20u);
    EXPECT_EQ(one[0].decision, StoppingDecision::Unsettled);
    EXPECT_EQ(one[0].telemetry.throttle_reasons, 4u);
    means.push_back(std::accumulate(one[0].latency_s.begin(), one[0].latency_s.end(), 0.0) / 20.0);
  }
  EXPECT_NEAR(means[2] / means[0], 1.0, 0.006) << "in one block";
  EXPECT_GT(means[3] / means[0], 1.05) << "in the next";
  const auto& calls = static_cast<const SlowingDevice&>(*devices[0]).loads;
  for (std::size_t call = 3 * 4; call + 1 < 3 * 22; ++call)  // behind the warm-up: no load more than twice in a row
    EXPECT_FALSE(call > 0 && calls[call - 1] == calls[call] && calls[call] == calls[call + 1]) << call;
}

TEST(Measurement, ABlockHoldsWhatIsMeasuredWithinSomeSeconds) {
  ProfileRequest request;
  request.model = "gpt-oss-20b";
  request.devices.kind = "host";
  request.devices.asked_weight_type = WeightType::F32;
  request.expert_shape = "64x32";
  request.max_tokens = 64;
  const auto block_loads = [&](double max_point_time_s) {
    request.stopping.max_time_s = max_point_time_s;
    return set_up_profile(request, 2).sweep.measurement.block_loads;
  };
  EXPECT_EQ(block_loads(0.3), 133u) << "40 s of them, all that README's first command measures";
  EXPECT_EQ(block_loads(10.0), 32u) << "a kill loses the points of a block";
  EXPECT_EQ(block_loads(1e-9), 1000000u);
}

TEST(Sweep, AFullDiskEndsAllRanksAlike) {
  const Communicator world = Communicator::world();
  MemorySink sink;
  sink.room = 2;
  EXPECT_THROW(sweep_simulated(world, sink), AgreedError);
  EXPECT_EQ(world.sum(1), world.size());
}

TEST(Sweep, HostDevicesMeasureTogetherAndInTurns) {
  const Communicator world = Communicator::world();
  DeviceOptions options{.kind = "host", .expert = {64, 32}, .tile_tokens = 8, .weight_type = WeightType::F32};
  const auto devices = make_devices(options, world);
  place_for_sweep(devices, static_cast<std::size_t>(world.rank()), experts_per_device, 2);
  LatencyProfile plan = plan_for(world, devices);
  plan.expert = options.expert;
  plan.tile_tokens = 8;
  plan.points = make_plan({.experts_per_device = experts_per_device, .tile_tokens = 8, .max_tokens = 32});
  for (bool take_turns : {false, true}) {
    MemorySink sink;
    SweepOptions sweep;
    sweep.measurement = {.stopping = {.min_samples = 3, .max_samples = 5},
                         .device_warm_up_s = 0.02,
                         .layer_count = 2,
                         .take_turns = take_turns};
    const LatencyProfile profile = run_sweep(world, devices, plan, sweep, sink);
    if (!world.is_root()) continue;
    EXPECT_EQ(profile.device_count(), static_cast<std::size_t>(world.size()));
    for (double latency_s : profile.median_s.values()) EXPECT_GT(latency_s, 0.0);
    for (std::size_t d = 0; d < profile.device_count(); ++d) EXPECT_EQ(profile.devices[d].rank, static_cast<int>(d));
  }
}

}  // namespace
}  // namespace gem
