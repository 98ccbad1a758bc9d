// Devices whose kernel chooses its tile by the rows of the device: planned, measured, predicted.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/statistics.hpp"
#include "model/latency_profile_fields.hpp"
#include "profile/profile_job.hpp"
#include "profile/validation.hpp"
#include "random_fields.hpp"

namespace gem {
namespace {

class KeptProfile : public ProfileSink {
 public:
  LatencyProfile begin(const LatencyProfile& plan) override {
    return earlier.points.empty() ? unmeasured(plan) : earlier;
  }
  void grow(const LatencyProfile& profile) override { counts.push_back(measured_count(profile)); }
  void stop(const LatencyProfile&) override {}
  void finish(const LatencyProfile& profile) override { finished = profile; }

  LatencyProfile earlier, finished;
  std::vector<std::size_t> counts;  // measured, call by call
};

// Simulated GPUs with memory so fast that tiles decide, running a kernel with an engine's usual tiles.
ProfileRequest engine_request(std::size_t tile_tokens = 0) {
  ProfileRequest request;
  request.model = "DeepSeek-V2-Lite";
  request.tokens_per_step = 1024;
  request.quiet = true;
  request.devices.kind = "simulated";
  request.devices.device_count = 4;
  request.devices.slowdown = "1.0,1.28";
  request.devices.tile_tokens = tile_tokens;
  request.devices.tile_rule_text = "32:16,96:32,512:64,128";
  request.devices.simulation.weight_bytes_per_s = 3e13;
  return request;
}

LatencyProfile measured(const Communicator& ranks, const ProfileRequest& request, KeptProfile& sink) {
  const ProfileSetup setup = set_up_profile(request, static_cast<std::size_t>(ranks.size()));
  return measure_profile(ranks, setup, make_and_place(ranks, setup), sink);
}

TEST(TileRegimes, AreParsedAndRefused) {
  EXPECT_EQ(parse_tile_rule("32:16,96:32,64"), (std::vector<TileStep>{{32, 16}, {96, 32}, {0, 64}}));
  EXPECT_EQ(parse_tile_rule("16"), (std::vector<TileStep>{{0, 16}}));
  EXPECT_TRUE(parse_tile_rule("").empty());
  for (const char* text : {"32:16,96:32,64", "16", ""}) EXPECT_EQ(tile_rule_text(parse_tile_rule(text)), text);
  for (const char* text :
       {"32:16", "32,16", "32:16,32:64,128", "64:16,32:64,128", "x", "32:0,16", "32:16,70000", "-1:16,4"})
    EXPECT_THROW(parse_tile_rule(text), UsageError) << text;
  ProfileRequest host = engine_request();
  host.devices.kind = "host";
  host.devices.device_count = 0;
  host.devices.asked_weight_type = WeightType::F32;
  EXPECT_THROW(set_up_profile(host, 4), UsageError) << "its tile is what it is told";
}

TEST(TileRegimes, PointsAreWithinTheirRows) {
  const LatencyProfile plan = set_up_profile(engine_request(), 1).plan;
  ASSERT_EQ(plan.regimes.size(), 4u);
  EXPECT_EQ(plan.tile_tokens, 128u) << "the mean device gets 1,536 rows";
  std::size_t point = 0;
  for (const TileRegime& regime : plan.regimes) {
    const auto tile = static_cast<std::int64_t>(regime.tile_tokens);
    for (std::size_t i = 0; i < regime.point_count; ++i, ++point) {
      const LoadPoint& load = plan.regime_points[point];
      EXPECT_GE(load.tokens, regime.rows_from);
      EXPECT_LE(load.tokens, regime.rows_to);
      EXPECT_LE(load.tokens, load.tiles * tile);
      EXPECT_GE(load.tokens, (load.tiles - load.active_experts) * tile + load.active_experts);
      const std::vector<std::uint32_t> tokens = tokens_per_slot_of(load, regime.tile_tokens, 16, 3);
      DeviceLoad made;
      for (const std::uint32_t count : tokens) made.add({static_cast<std::uint32_t>(tile), {}}, count);
      EXPECT_EQ(made.tiles, load.tiles);
      EXPECT_EQ(made.active_experts, load.active_experts);
      EXPECT_EQ(made.tokens, load.tokens);
    }
  }
  EXPECT_EQ(point, plan.regime_points.size());
  EXPECT_EQ(load_count(plan), plan.regime_points.size()) << "the plan's own points are one regime's, measured once";
}

// Steps of few tokens meet few tiles; of one only, the profile is that of a kernel with one.
TEST(TileRegimes, OnlyTilesThatLoadsMeetAreMeasured) {
  ProfileRequest request = engine_request();
  request.max_tokens = 90;
  EXPECT_EQ(set_up_profile(request, 1).plan.regimes.size(), 2u);
  request.max_tokens = 30;
  const LatencyProfile plan = set_up_profile(request, 1).plan;
  EXPECT_TRUE(plan.regimes.empty());
  EXPECT_EQ(plan.tile_tokens, 16u);
  EXPECT_TRUE(set_up_profile(engine_request(64), 1).plan.regimes.empty()) << "one tile was asked for";
}

// On loads of 40 to 3,000 rows, not so skewed that most experts rest: median and 90th percentile of the relative error.
// Figures: tests/benchmark/engine_kernels.md.
TEST(TileRegimes, PredictWhatOneTileCannot) {
  const Communicator world = Communicator::world();
  KeptProfile sink;
  std::vector<LatencyProfile> profiles{measured(world, engine_request(), sink)};
  for (const std::size_t tile : {16u, 64u, 128u}) profiles.push_back(measured(world, engine_request(tile), sink));
  const ProfileSetup setup = set_up_profile(engine_request(), static_cast<std::size_t>(world.size()));
  const Devices devices = make_and_place(world, setup);
  ValidationLoads loads;
  add_random_loads(loads, 200, 16, {.least_tokens = 40, .most_tokens = 3000, .least_shape = 3.0}, 5);
  const Matrix<double> measured_s = measure_loads(world, devices, loads.tokens_per_slot, 5000, setup.sweep);
  if (!world.is_root()) return;
  std::vector<double> medians, nineties;
  for (const LatencyProfile& profile : profiles) {
    const Validation validation = validate(profile, loads, measured_s);
    std::vector<double> errors;
    for (std::size_t i = 0; i < measured_s.values().size(); ++i)
      errors.push_back(std::abs(validation.surface_s.values()[i] / measured_s.values()[i] - 1.0));
    medians.push_back(median(errors));
    nineties.push_back(quantile(errors, 0.9));
    std::printf("tiles %s: median %.2f %%, p90 %.2f %%\n",
                profile.regimes.empty() ? std::to_string(profile.tile_tokens).c_str() : "by rows",
                100.0 * medians.back(), 100.0 * nineties.back());
  }
  EXPECT_LT(medians[0], 0.01);
  EXPECT_LT(nineties[0], 0.05);
  for (std::size_t one = 1; one < profiles.size(); ++one) {
    EXPECT_GT(nineties[one], 0.10) << profiles[one].tile_tokens;
    if (profiles[one].tile_tokens == 16) continue;  // half of these loads are so small that any tile holds an expert's
    EXPECT_GT(medians[one], 0.04) << profiles[one].tile_tokens;
  }
}

TEST(TileRegimes, AreFoundByAProbeWhereDevicesSayNone) {
  const Communicator world = Communicator::world();
  ProfileRequest request = engine_request();
  request.devices.tile_rule = parse_tile_rule("96:32,64");  // that the devices have, and nobody says
  request.devices.tile_rule_text = probed_tile_rule;
  request.devices.simulation.multiprocessors = 8;
  request.devices.simulation.outlier_probability = 0.0;
  request.stopping.max_samples = 3;
  ASSERT_TRUE(asks_devices_for_tiles(request));
  const ProfileSetup setup = set_up_profile(request, static_cast<std::size_t>(world.size()));
  Devices devices;
  world.on_all([&] { devices = make_devices(setup.devices, world); });
  const ProfileSetup settled = with_tiles_of(devices, world, request, setup);
  ASSERT_TRUE(settled.probe.has_value());
  EXPECT_EQ(rule_of(*settled.probe), parse_tile_rule("96:32,64"));
  EXPECT_EQ(settled.devices.tile_rule, parse_tile_rule("96:32,64"));
  ASSERT_EQ(settled.plan.regimes.size(), 2u);
  EXPECT_EQ(settled.plan.regimes[0].rows_to, 96);
  request.devices.tile_tokens = 16;
  EXPECT_FALSE(asks_devices_for_tiles(request)) << "told";
  request.devices.tile_tokens = 0;
  request.devices.tile_rule_text = told_tile_rule;
  EXPECT_THROW(set_up_profile(request, 1), UsageError) << "simulated devices are told, and don't tell";
}

TEST(TileRegimes, AResumedSweepMeasuresTheRestAlike) {
  const Communicator world = Communicator::world();
  KeptProfile whole, resumed;
  ProfileRequest request = engine_request();
  request.max_tokens = 200;
  const LatencyProfile expected = measured(world, request, whole);
  std::size_t missing = 0;
  if (world.is_root()) {
    EXPECT_EQ(whole.counts.size(), expected.regime_points.size());
    EXPECT_EQ(whole.counts.back(), load_count(expected));
    resumed.earlier = expected;
    for (std::size_t load = 0; load < load_count(expected); load += 3, ++missing)
      for (std::size_t d = 0; d < 4; ++d)
        if (load < expected.points.size()) {
          resumed.earlier.median_s(d, load) = resumed.earlier.p95_s(d, load) = NAN;
          std::ranges::fill(resumed.earlier.samples_s.row(d, load), NAN);
        } else {
          resumed.earlier.regime_median_s(d, regime_point_of(expected, load)) = NAN;
        }
  }
  const LatencyProfile profile = measured(world, request, resumed);
  if (!world.is_root()) return;
  EXPECT_EQ(resumed.counts.size(), missing);
  test::expect_same_fields(profile, expected);
  EXPECT_EQ(plan_difference(profile, set_up_profile(request, 1).plan), "");
  request.devices.tile_rule_text = "32:16,96:32,512:128,128";
  EXPECT_NE(plan_difference(profile, set_up_profile(request, 1).plan), "");
}

}  // namespace
}  // namespace gem
