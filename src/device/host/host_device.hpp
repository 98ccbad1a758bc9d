#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "device/moe_device.hpp"
#include "model/moe_model.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

/// What a processor core as a device is made from.
struct HostDeviceOptions {
  ExpertShape expert{};
  std::size_t tile_tokens = 16;
  GemmType type = GemmType::F32;
  double slowdown = 1.0;  ///< at least 1; after a layer the core spins for (slowdown - 1) times its time
  std::uint64_t seed = 1;
  std::size_t weight_layers = 0;  ///< see DeviceOptions
  std::int32_t rank = 0;
  std::size_t memory_limit_bytes = SIZE_MAX;  ///< what experts and buffers may take
};

/// Processor cores as devices, for device_kinds().
const DeviceKind& host_kind();

/// A processor core as a device: the expert FFN really computed, in whole tiles of tile_tokens rows, padded rows
/// included, so that its latency is a staircase as a GPU's. A slowdown is emulated by proportionally more time, as the
/// cuda device does. Timed by the thread's processor time: what other processes take of the core is left out.
class HostDevice : public MoeDevice, public MovesExperts {
 public:
  /// UsageError for a slowdown below 1 or a type that can't be multiplied here.
  explicit HostDevice(const HostDeviceOptions& options);

  DeviceDescription description() const override;
  PlacementCost place_experts(std::size_t layer, std::span<const ExpertId> experts) override;
  double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float> input,
                 std::span<float> output) override;
  double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) override;
  void begin_measurement(std::uint64_t) override {}
  const DeviceKind& kind() const override { return host_kind(); }
  std::unique_ptr<DecoderDevice> make_decoder(const DecoderWork& work) override;
  Telemetry telemetry() override;
  MovesExperts* moves_experts() override { return this; }

  std::size_t expert_bytes() const override;
  void read_expert(std::size_t layer, ExpertId expert, std::span<std::byte> bytes) override;
  void reserve_spares(std::size_t count) override;
  void write_spare(std::size_t place, std::span<const std::byte> bytes) override;
  void replace(std::size_t layer, ExpertId leaving, ExpertId arriving, std::size_t place) override;
  /// UsageError for one below 1.
  void set_slowdown(double slowdown) override;

  /// Operations of all matrix products so far.
  double flops_done() const { return flops_done_; }
  /// Seconds of the last layer without what a slowdown adds.
  double own_s() const { return own_s_; }

 private:
  struct Expert {
    Gemm::Weights gate;
    Gemm::Weights up;
    Gemm::Weights down;
  };
  struct Layer {
    std::map<ExpertId, Expert> resident;
    std::vector<ExpertId> slots;
  };

  Expert make_expert(std::size_t layer, ExpertId expert);
  void require_memory(std::size_t experts) const;
  // Its three matrices, one after the other.
  std::vector<std::span<std::byte>> bytes_of(Expert& expert) const;
  const Layer& layer_at(std::size_t layer, std::size_t slot_count) const;
  double run(const Layer& layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const std::byte> rows);
  void run_tile(const Expert& expert, const std::byte* input, float* output);
  std::size_t padded_rows(std::span<const std::uint32_t> tokens_per_slot) const;
  std::size_t resident_count() const;

  HostDeviceOptions options_;
  Gemm gate_product_;  // the up product has the same shape
  Gemm down_product_;
  std::map<std::size_t, Layer> layers_;
  std::vector<Expert> spares_;
  std::vector<std::byte> input_rows_;   // of compute, padded to tiles
  std::vector<std::byte> random_rows_;  // of time_layer
  std::vector<float> output_rows_;
  std::vector<float> gate_;             // [tile_tokens, intermediate_size]
  std::vector<float> up_;               // [tile_tokens, intermediate_size]
  std::vector<std::byte> activations_;  // [tile_tokens, intermediate_size]
  double flops_done_ = 0.0;
  double own_s_ = 0.0;
};

}  // namespace gem
