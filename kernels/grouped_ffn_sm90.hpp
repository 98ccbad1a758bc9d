// Inside of the Hopper path: the compiled variants and how one is launched.
#pragma once

#include <cuda_bf16.h>

#include "grouped_ffn_paths.hpp"

namespace gem::kernels {

/// Parameters of the kernel, besides the tensor maps.
struct FfnKernelArguments {
  const std::int32_t* offsets;
  std::int32_t* counters;
  __nv_bfloat16* activations;
  __nv_bfloat16* output;
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
  int tile_tokens;
  int weight_rows;
  int cluster;
  int depth;
  int threads;
  int shared_bytes;
  double busy_from;
  const void* kernel;
};

struct FfnVariants {
  const FfnVariant* items;
  int count;
};

/// Variants by file, so that they compile side by side; of a tile_tokens the first that suits is taken.
FfnVariants ffn_variants_few_tokens();
FfnVariants ffn_variants_many_tokens();

cudaLaunchConfig_t ffn_launch_configuration(const GroupedFfnPlan& plan, const FfnVariant& variant, cudaStream_t stream,
                                            cudaLaunchAttribute (&attributes)[2]);

}  // namespace gem::kernels
