#include "emulated_profile.hpp"

#include <gtest/gtest.h>

#include "cost/device_loads.hpp"
#include "files/profile_file.hpp"
#include "files/provenance.hpp"
#include "model/latency_surface.hpp"
#include "temporary_directory.hpp"

namespace gem {
namespace {

// Of one device with tiles of 16 up to 32 rows and of 64 beyond, on a node of its own.
LatencyProfile one_device() {
  LatencyProfile one;
  one.model = "toy";
  one.device_kind = "command";
  one.weight_dtype = "bf16";
  one.expert = {64, 32};
  one.tile_tokens = 64;
  one.experts_per_device = 4;
  one.rule.last_tile_rows = 64;
  one.devices = {{"command", "a GPU", "host", "GPU-1", 0, 1.0}};
  one.regimes = {{1, 32, 16, 2}, {33, greatest_load, 64, 2}};
  one.regime_points = {{1, 1, 16}, {2, 1, 32}, {1, 1, 64}, {4, 4, 256}};
  one.regime_median_s = Matrix<double>(1, 4);
  one.regime_median_s.values() = {1e-5, 2e-5, 3e-5, 9e-5};
  one.points = {{1, 1, 64}, {4, 4, 256}};
  one.median_s = one.p95_s = Matrix<double>(1, 2);
  one.median_s.values() = one.p95_s.values() = {3e-5, 9e-5};
  one.sm_clock_hz = one.power_w = one.temperature_c = Matrix<double>(1, 2, 1.0);
  one.samples_s = Cube<float>(1, 2, 1, 1e-5f);
  one.settled = Matrix<std::uint8_t>(1, 2, 1);
  one.throttle_reasons = Matrix<std::uint64_t>(1, 2);
  one.drift = {0.0};
  one.topology = {"mpi", {0}, {}};
  one.shared_tokens = {16, 64};
  one.shared_s = Matrix<double>(1, 2, 1e-5);
  return one;
}

TEST(EmulatedProfile, HasTheTilesAndTheNodeOfItsDevice) {
  const test::TemporaryDirectory directory;
  write_profile(directory / "four.h5", emulated(one_device(), {1.0, 1.5, 2.0, 3.0}), provenance_now("test", "toy", 1));
  const LatencyProfile four = read_profile(directory / "four.h5");
  ASSERT_EQ(four.device_count(), 4u);
  EXPECT_EQ(four.devices[3].name, "a GPU, emulated x3");
  EXPECT_EQ(four.topology.node_of, (std::vector<std::int32_t>{0, 0, 0, 0}));
  EXPECT_EQ(four.regimes, one_device().regimes);
  EXPECT_NEAR(four.shared_s(0, 1), 1e-5, 1e-12);
  EXPECT_NEAR(four.shared_s(3, 1), 3e-5, 1e-12) << "shared experts are slower, too";
  const LoadRules rules = four.load_rules();
  const std::vector<TileSurfaces> surfaces = tile_surfaces_of(four);
  for (const std::vector<std::uint32_t>& load : {std::vector<std::uint32_t>{20, 0, 0, 0}, {64, 64, 64, 64}}) {
    const DeviceLoad sum = load_of(load, rules);
    EXPECT_NEAR(surfaces[3].seconds(sum), 3.0 * surfaces[0].seconds(sum), 1e-12);
  }
}

}  // namespace
}  // namespace gem
