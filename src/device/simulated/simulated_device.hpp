#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "device/moe_device.hpp"
#include "model/moe_model.hpp"

namespace gem {

/// The stated model of a GPU that SimulatedDevice is; defaults near those of an H100 (SXM).
struct SimulationModel {
  double launch_s = 6e-6;  ///< fixed cost of a layer
  std::size_t multiprocessors = 132;
  std::size_t block_columns = 128;     ///< columns of a product that one multiprocessor computes at a time
  double flops_per_s = 600e12;         ///< of all multiprocessors together, in whole tiles
  double l2_bytes_per_s = 5.5e12;      ///< from L2 into all multiprocessors together
  double weight_bytes_per_s = 2.6e12;  ///< streaming of the active experts' weights from memory
  double noise = 0.003;                ///< standard deviation of the log of a latency
  double outlier_probability = 0.002;  ///< of a latency that something disturbed
  double outlier_factor = 1.5;         ///< how much longer it then takes
};

/// What a simulated device is made from.
struct SimulatedDeviceOptions {
  ExpertShape expert{};
  std::size_t tile_tokens = 16;
  std::vector<TileStep> tile_rule{};  ///< as engines' kernels choose theirs; empty: tile_tokens always
  std::size_t weight_bytes = 2;       ///< of one element
  double slowdown = 1.0;              ///< acts on the compute term only, as measured GPUs do
  std::uint64_t seed = 1;
  std::int32_t device = 0;  ///< its number; keys its noise
  std::int32_t rank = 0;
  SimulationModel model{};
};

/// Stated models as devices, for device_kinds().
const DeviceKind& simulated_kind();

/// A device on a virtual clock:
///
///   latency = (launch + max(slowdown * compute, streaming)) * noise
///
/// compute is two products, gate with up and down, each in whole waves: a tile has ceil(columns / block_columns)
/// blocks, a multiprocessor computes one block at a time, and a wave of blocks takes as long as one: the longer of its
/// arithmetic and of reading its weights from L2, which is what bounds tiles of few tokens. streaming is the active
/// experts' weights over the memory's speed. The noise is a function of (seed, device, measurement, call within
/// it).
class SimulatedDevice : public MoeDevice {
 public:
  /// UsageError for a slowdown that is not a positive number.
  explicit SimulatedDevice(const SimulatedDeviceOptions& options);

  DeviceDescription description() const override;
  PlacementCost place_experts(std::size_t layer, std::span<const ExpertId> experts) override;
  double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float> input,
                 std::span<float> output) override;
  double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) override;
  void begin_measurement(std::uint64_t number) override;
  const DeviceKind& kind() const override { return simulated_kind(); }
  Telemetry telemetry() override;

  std::vector<TileStep> tile_rule() const override { return options_.tile_rule; }

  /// The model without noise, for tiles of the device's one tile or of `tile_tokens`; zero for no tiles.
  double noiseless_s(std::size_t tiles, std::size_t active_experts) const {
    return noiseless_s(tiles, active_experts, options_.tile_tokens);
  }
  double noiseless_s(std::size_t tiles, std::size_t active_experts, std::size_t tile_tokens) const;

 private:
  double noise_factor();

  SimulatedDeviceOptions options_;
  std::map<std::size_t, std::size_t> slots_of_layer_;
  std::optional<RandomStream> noise_;  // made at the first call of a measurement
  std::uint64_t measurement_ = 0;
};

}  // namespace gem
