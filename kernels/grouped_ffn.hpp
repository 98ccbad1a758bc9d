// The routed experts of one MoE layer on one device:
//
//   output[r] = (silu(input[r] Wg_e^T) * (input[r] Wu_e^T)) Wd_e^T      for offsets[e] <= r < offsets[e + 1]
//
// bf16 operands, f32 accumulation, activations rounded to bf16 in between. Two paths behind one launcher: `sm90`
// (Hopper: bulk tensor copies, wgmma, one persistent kernel) and `plain` (any architecture; also the easy reference on
// the GPU).
//
// Cost: tokens of an expert are computed in whole tiles of `tile_tokens` rows and the weights of an expert without rows
// are not read, so that latency follows (sum_e ceil(rows_e / tile_tokens), sum_e [rows_e > 0]).
// How many rows an expert has is read on the device: the launch doesn't depend on it, and a CUDA graph can replay it.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// Experts on this device and the sizes of one expert, in elements. hidden and intermediate are multiples of 8.
struct GroupedFfnShape {
  int experts = 0;
  int hidden = 0;
  int intermediate = 0;
};

inline constexpr int kMostFfnExperts = 1024;

/// Which implementation; `automatic` takes sm90 on compute capability 9.0, else plain.
enum class FfnPath : int { automatic, plain, sm90 };

/// Which of the two products to run; the parts alone are for measuring.
enum class FfnPart : int { whole = 3, gate_up = 1, down = 2 };

/// Device buffers and choices of one layer. All pointers are 16-byte aligned device pointers that stay valid while the
/// plan is used; matrices are bf16, row-major, without padding.
struct GroupedFfnArguments {
  GroupedFfnShape shape;
  const void* gate_up = nullptr;          ///< [experts, 2 * intermediate, hidden]: gate rows first, then up rows
  const void* down = nullptr;             ///< [experts, hidden, intermediate]
  const void* input = nullptr;            ///< [max_rows, hidden], tokens in expert order
  const std::int32_t* offsets = nullptr;  ///< [experts + 1], ascending from 0, offsets[experts] <= max_rows
  void* output = nullptr;                 ///< [max_rows, hidden]; rows from offsets[experts] on are left alone
  void* workspace = nullptr;              ///< grouped_ffn_workspace_bytes(), 256-byte aligned
  std::int64_t max_rows = 0;              ///< rows that `input` and `output` have room for
  int tile_tokens = 0;                    ///< 16, 32, 64, 128 or 256: see choose_tile_tokens()
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
  int variant = 0;                                     ///< index of the sm90 kernel variant, from 0
  int blocks = 0;                                      ///< of the persistent grid
  int multiprocessors = 0;                             ///< as the device reports them: the granted share under MPS
  alignas(64) unsigned char tensor_maps[4][128] = {};  ///< gate_up, input, down, activations (CUtensorMap)
};

/// Bytes of workspace for any tile_tokens: scheduler counters and activations [max_rows, intermediate] bf16.
std::size_t grouped_ffn_workspace_bytes(const GroupedFfnShape& shape, std::int64_t max_rows);

/// Rows per tile for a mean of `tokens_per_expert` over the experts that have tokens: the least of 16, 32 and 64 that
/// holds them, 128 up to 1536, 256 above, where an expert's last tile, half empty on average, no longer counts. Serving
/// engines step from 16 to 128 in the same way.
int choose_tile_tokens(double tokens_per_expert);

/// Fills *plan for the current device and enqueues on `stream` the zeroing of the workspace's counters; launches keep
/// them zero. Errors: cudaErrorInvalidValue for shapes, pointers, tile_tokens or variants that can't be served,
/// cudaErrorNotSupported for path sm90 on another device or with a driver that can't encode tensor maps.
cudaError_t make_grouped_ffn_plan(const GroupedFfnArguments& arguments, GroupedFfnPlan* plan, cudaStream_t stream);

/// Enqueues the layer (or one part of it) on `stream`; returns the launch's error.
cudaError_t launch_grouped_ffn(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part = FfnPart::whole);

/// Name of sm90 kernel variant 1, 2, ... or null behind the last: for sweeps.
const char* ffn_variant_name(int variant);

}  // namespace gem::kernels
