// Inside of the Hopper path: the compiled variants and how one is launched.
#pragma once

#include <cuda.h>
#include <cuda_bf16.h>

#include "grouped_ffn_paths.hpp"

namespace gem::kernels {

/// The kernel's view of GroupedFfnPlan::tensor_maps.
struct FfnTensorMaps {
  CUtensorMap gate_up;
  CUtensorMap input;
  CUtensorMap down;
  CUtensorMap activations;
  CUtensorMap input_scales;       // fp8
  CUtensorMap activation_scales;  // fp8
};
static_assert(sizeof(FfnTensorMaps) == sizeof(GroupedFfnPlan::tensor_maps));

/// Parameters of the kernel, besides the tensor maps.
struct FfnKernelArguments {
  const std::int32_t* offsets;
  std::int32_t* counters;
  void* activations;
  __nv_bfloat16* output;
  const float* gate_up_scales;  // fp8, as the next three
  const float* down_scales;
  float* activation_scales;
  std::int64_t scale_stride;
  int experts;
  int hidden;
  int intermediate;
  int part;
  int steps_gate_up;  // stages that the depth of a tile takes
  int steps_down;
  int weight_tiles_gate_up;  // in units of a cluster's tiles
  int weight_tiles_down;
  int catch_up;  // tiles of the second product that weigh no more than one of the first
};

/// One compiled variant, as the host sees it.
struct FfnVariant {
  const char* name;
  FfnType type;
  int tile_tokens;
  int weight_rows;
  int cluster;
  int depth;
  int threads;
  int shared_bytes;
  double busy_from;
  const void* kernel;
};

/// Some variants, in static memory.
struct FfnVariants {
  const FfnVariant* items;
  int count;
};

/// Variants by file, so that they compile side by side; of a tile_tokens the first that suits is taken.
FfnVariants ffn_variants_few_tokens();
FfnVariants ffn_variants_many_tokens();
FfnVariants ffn_variants_fp8();

/// Grid, block, shared memory and cluster of a launch; it points to `attributes`.
cudaLaunchConfig_t ffn_launch_configuration(const GroupedFfnPlan& plan, const FfnVariant& variant, cudaStream_t stream,
                                            cudaLaunchAttribute (&attributes)[2]);

}  // namespace gem::kernels
