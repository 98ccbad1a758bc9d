// The routed experts of one MoE layer on one device:
//
//   output[r] = (silu(input[r] Wg_e^T) * (input[r] Wu_e^T)) Wd_e^T      for offsets[e] <= r < offsets[e + 1]
//
// bf16: f32 accumulation, activations rounded to bf16 in between.
// fp8, as DeepSeek-V3 is served: operands e4m3 with f32 scales, of weights one for each block of 128 x 128, of tokens
// and activations one for each row and 128 columns; every 128-deep partial product is scaled and added in f32;
// activations are quantised again in between; output bf16. quantise.hpp makes such operands from bf16.
//
// Two paths behind one launcher: `sm90` (Hopper: bulk tensor copies, wgmma, one persistent kernel) and `plain` (any
// architecture; also the easy reference on the GPU).
//
// Cost: tokens of an expert are computed in whole tiles of `tile_tokens` rows and the weights of an expert without rows
// are not read, so that latency follows (sum_e ceil(rows_e / tile_tokens), sum_e [rows_e > 0]).
// How many rows an expert has is read on the device: the launch doesn't depend on it, and a CUDA graph can replay it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// Type of weights, tokens and activations; see the top of this file.
enum class FfnType : int { bf16, fp8 };

/// Experts on this device and the sizes of one expert, in elements. hidden and intermediate are multiples of 8, for fp8
/// of 128.
struct GroupedFfnShape {
  int experts = 0;
  int hidden = 0;
  int intermediate = 0;
  FfnType type = FfnType::bf16;
};

/// Edge of a block of weights with one scale, and columns of a row with one scale.
inline constexpr int kScaleBlock = 128;

/// Scales of tokens lie column block by column block, a token apart: element [b * stride + r]. The stride is the rows
/// rounded up to what bulk copies can serve.
constexpr std::int64_t token_scale_stride(std::int64_t max_rows) {
  return (max_rows + 3) / 4 * 4;
}

/// Experts of a layer that the kernels can serve.
inline constexpr int kMostFfnExperts = 1024;

/// Which implementation; `automatic` takes sm90 on compute capability 9.0, else plain.
enum class FfnPath : int { automatic, plain, sm90 };

/// Which of the two products to run; the parts alone are for measuring.
enum class FfnPart : int { whole = 3, gate_up = 1, down = 2 };

/// Device buffers and choices of one layer. All pointers are 16-byte aligned device pointers that stay valid while the
/// plan is used; matrices are of the shape's type, row-major, without padding.
struct GroupedFfnArguments {
  GroupedFfnShape shape;
  const void* gate_up = nullptr;          ///< [experts, 2 * intermediate, hidden]: gate rows first, then up rows
  const void* down = nullptr;             ///< [experts, hidden, intermediate]
  const void* input = nullptr;            ///< [max_rows, hidden], tokens in expert order
  const std::int32_t* offsets = nullptr;  ///< [experts + 1], ascending from 0, offsets[experts] <= max_rows
  void* output = nullptr;                 ///< [max_rows, hidden] bf16; rows from offsets[experts] on are left alone
  void* workspace = nullptr;              ///< grouped_ffn_workspace_bytes(), 256-byte aligned
  std::int64_t max_rows = 0;              ///< rows that `input` and `output` have room for
  const float* gate_up_scales = nullptr;  ///< fp8: [experts, 2 * intermediate / 128, hidden / 128]
  const float* down_scales = nullptr;     ///< fp8: [experts, hidden / 128, intermediate / 128]
  const float* input_scales = nullptr;    ///< fp8: [hidden / 128, token_scale_stride(max_rows)]
  int tile_tokens = 0;                    ///< 16, 32, 64, 128 or, for bf16, 256: see choose_tile_tokens()
  double tokens_per_expert = 0.0;  ///< expected mean over experts with rows, 0 unknown: chooses among kernels of a tile
  FfnPath path = FfnPath::automatic;
  int variant = 0;  ///< sm90 only: 0 takes the measured best, 1, 2, ... a kernel variant: see ffn_variant_name()
};

/// What a launch needs; plain data that owns nothing. Cheap to make (some microseconds on the host), so one plan for
/// each layer's weights is fine; plans of one shape and max_rows may share a workspace if their launches are ordered by
/// one stream. All blocks of a launch have to be on the device together, because they wait for each other: don't launch
/// beside a kernel that waits for this one.
struct GroupedFfnPlan {
  GroupedFfnArguments arguments;
  FfnPath path = FfnPath::plain;
  int variant = 0;          ///< index of the sm90 kernel variant, from 0
  int blocks = 0;           ///< of the persistent grid
  int multiprocessors = 0;  ///< as the device reports them: the granted share under MPS
  /// CUtensorMap of gate_up, input, down, activations, and for fp8 of the scales of input and activations.
  alignas(64) unsigned char tensor_maps[6][128] = {};
};

/// Bytes of workspace for any tile_tokens and path: scheduler counters and activations [max_rows, intermediate], for
/// fp8 with their scales.
std::size_t grouped_ffn_workspace_bytes(const GroupedFfnShape& shape, std::int64_t max_rows);

/// Rows per tile for a mean of `tokens_per_expert` over the experts that have tokens: the least of 16, 32 and 64 that
/// holds them, 128 up to 1536, for bf16 256 above, where an expert's last tile, half empty on average, no longer
/// counts. Serving engines step from 16 to 128 in the same way.
int choose_tile_tokens(double tokens_per_expert, FfnType type = FfnType::bf16);

/// Fills *plan for the current device and enqueues on `stream` the zeroing of the workspace's counters; launches keep
/// them zero. Errors: cudaErrorInvalidValue for shapes, pointers, tile_tokens or variants that can't be served,
/// cudaErrorNotSupported for path sm90 on another device or with a driver that can't encode tensor maps.
cudaError_t make_grouped_ffn_plan(const GroupedFfnArguments& arguments, GroupedFfnPlan* plan, cudaStream_t stream);

/// Enqueues the layer (or one part of it) on `stream`; returns the launch's error.
cudaError_t launch_grouped_ffn(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part = FfnPart::whole);

/// Name of sm90 kernel variant 1, 2, ... of a type, or null behind the last: for sweeps.
const char* ffn_variant_name(int variant, FfnType type = FfnType::bf16);

}  // namespace gem::kernels
