#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "device/moe_device.hpp"
#include "model/moe_model.hpp"
#include "model/weight_type.hpp"

namespace gem {

/// What a GPU as a device is made from.
struct CudaDeviceOptions {
  ExpertShape expert;
  std::size_t tile_tokens = 16;
  WeightType weight_type = WeightType::Bf16;
  double slowdown = 1.0;
  std::uint64_t seed = 1;
  std::size_t weight_layers = 0;  ///< see DeviceOptions
  std::int32_t rank = 0;
  int node_rank = 0;  ///< picks the GPU among those visible
};

/// In fp8 both sizes of an expert are multiples of this, and tiles have so many rows at most.
inline constexpr std::size_t cuda_fp8_multiple = 128, cuda_fp8_largest_tile = 128;

/// GPUs as devices, for device_kinds().
const DeviceKind& cuda_kind();

/// Whether this program was built with CUDA.
bool cuda_is_built();

/// Whether GPUs run attention of prefill here, by cuDNN.
bool cuda_runs_prefill_attention();

/// Rows per tile that the kernels do best with for a mean of `tokens_per_expert`.
std::size_t cuda_tile_tokens(double tokens_per_expert, WeightType weight_type);

/// A GPU as a device; UsageError where the program was built without CUDA.
std::unique_ptr<MoeDevice> make_cuda_device(const CudaDeviceOptions& options);

}  // namespace gem
