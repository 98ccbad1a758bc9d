// Inside of the grouped FFN: what the launcher asks of each path.
#pragma once

#include "grouped_ffn.hpp"

namespace gem::kernels {

/// Bulk copies of token scales begin at rows that are multiples of this.
inline constexpr int kScaleAlignment = 4;

/// Shared out of the workspace: counters first, then what lies between the products.
struct FfnWorkspace {
  std::int32_t* counters = nullptr;    ///< [0] blocks done, [1 + token tile] finished parts of its activations
  void* activations = nullptr;         ///< [max_rows, intermediate] of the shape's type
  float* activation_scales = nullptr;  ///< fp8: [intermediate / 128, token_scale_stride(max_rows)]
  void* unquantised = nullptr;         ///< fp8, plain path: activations [max_rows, intermediate] bf16
  std::size_t counter_bytes = 0;
};

/// Where each part lies.
FfnWorkspace ffn_workspace(const GroupedFfnArguments& arguments);

cudaError_t launch_grouped_ffn_plain(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part);

/// Checks tile_tokens and variant, fills plan->variant and plan->tensor_maps.
cudaError_t prepare_grouped_ffn_sm90(GroupedFfnPlan* plan);
cudaError_t launch_grouped_ffn_sm90(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part);

}  // namespace gem::kernels
