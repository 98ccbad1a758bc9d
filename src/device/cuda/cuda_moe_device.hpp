#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/cuda/cuda_device.hpp"
#include "device/cuda/gpu_expert_matrix.hpp"
#include "device/cuda/gpu_timer.hpp"
#include "kernels/grouped_ffn.hpp"
#include "platform/gpu/cuda.hpp"
#include "platform/gpu/nvml.hpp"

namespace gem {

/// A GPU as a device: the grouped FFN of kernels/, bf16 or fp8, timed by GpuTimer. A slowdown is emulated by busy time
/// in proportion. fp8: weights are quantised where they are placed and rows before the timer starts, because engines
/// that serve in fp8 send tokens quantised to the devices of their experts; activations are quantised within the
/// kernel.
class CudaMoeDevice : public MoeDevice, public ComputesOnGpu, public MovesExperts {
 public:
  /// Chooses the GPU for this process. SystemError without a usable GPU; UsageError for a type, tile or expert that the
  /// kernels don't have.
  explicit CudaMoeDevice(const CudaDeviceOptions& options);

  DeviceDescription description() const override;
  PlacementCost place_experts(std::size_t layer, std::span<const ExpertId> experts) override;
  double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float> input,
                 std::span<float> output) override;
  double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) override;
  void keep_busy(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::size_t launches) override;
  void begin_measurement(std::uint64_t) override {}
  const DeviceKind& kind() const override { return cuda_kind(); }
  ComputesOnGpu* on_gpu() override { return this; }
  std::unique_ptr<DecoderDevice> make_decoder(const DecoderWork& work) override;
  Telemetry telemetry() override;

  std::size_t room_for(std::size_t rows) const override;
  double compute_rows(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, const void* input,
                      void* output) override;
  void wait() override { stream_.synchronize(); }
  std::vector<std::span<std::byte>> expert_pieces(std::size_t layer, ExpertId expert) override;
  std::vector<std::span<std::byte>> spare_pieces(std::size_t place) override;

  MovesExperts* moves_experts() override { return this; }
  std::size_t expert_bytes() const override;
  void read_expert(std::size_t layer, ExpertId expert, std::span<std::byte> bytes) override;
  void reserve_spares(std::size_t count) override;
  void write_spare(std::size_t place, std::span<const std::byte> bytes) override;
  void replace(std::size_t layer, ExpertId leaving, ExpertId arriving, std::size_t place) override;
  void set_slowdown(double slowdown) override;

 private:
  struct Layer {
    std::vector<ExpertId> experts;
    GpuExpertMatrix gate_up;  // [slot, 2 * intermediate, hidden]
    GpuExpertMatrix down;     // [slot, hidden, intermediate]

    std::size_t slot_of(ExpertId expert) const;
    std::vector<std::span<std::byte>> pieces(std::size_t slot);
  };

  static std::string select_gpu(const CudaDeviceOptions& options);
  kernels::GroupedFfnShape ffn_shape(std::size_t experts) const;
  Layer make_layer(std::size_t slots) const;
  std::size_t weight_bytes() const;
  void require_memory(std::size_t bytes, const char* what) const;
  void reserve_rows(std::size_t rows);
  // Uploads what the kernel needs besides the rows; tokens_per_slot must not be all 0.
  kernels::GroupedFfnPlan plan_experts(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot,
                                       const void* input, void* output);
  double time_experts(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, const void* input,
                      void* output);

  CudaDeviceOptions options_;
  std::string uuid_;
  CudaStream stream_;
  CudaEvent begin_, end_;
  NvmlGpu nvml_;
  GpuTimer timer_;
  std::map<std::size_t, Layer> layers_;
  std::vector<Layer> spares_;  // of one slot each
  DeviceBuffer<std::int32_t> offsets_;
  DeviceBuffer<std::uint16_t> random_rows_, input_, output_;  // bf16 [rows, hidden]
  DeviceBuffer<unsigned char> quantised_rows_;                // fp8: e4m3 [rows, hidden]
  DeviceBuffer<float> row_scales_;                            // fp8: [hidden / 128, token_scale_stride(rows)]
  DeviceBuffer<std::uint16_t> scratch_;                       // fp8: one expert's matrix before it is quantised
  DeviceBuffer<unsigned char> workspace_;
};

}  // namespace gem
