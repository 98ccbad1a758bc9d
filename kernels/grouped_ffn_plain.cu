// Grouped FFN without anything that only one architecture has:
//
//   activation[r, i] = silu(sum_k x[r, k] Wg[i, k]) * sum_k x[r, k] Wu[i, k]       output[r, h] = sum_i activation[r,
//   i] Wd[h, i]
//
// A block of 16 x 16 threads computes tile_tokens rows times 64 columns, 16 rows at a time, from 32-wide slices of both
// operands in shared memory, in f32. Made to be right and easy to check, not to be fast.
#include <cuda_bf16.h>

#include "grouped_ffn_paths.hpp"
#include "tile_schedule.cuh"

namespace gem::kernels {
namespace {

constexpr int kColumns = 64;
constexpr int kRows = 16;
constexpr int kDepth = 32;
constexpr int kThreads = 256;
constexpr int kPerThread = kColumns / 16;

using Bf16 = __nv_bfloat16;

// Loads rows x kDepth of a row-major matrix, zeros outside.
__device__ void load_slice(float (*slice)[kDepth + 1], int rows, const Bf16* matrix, std::int64_t first_row,
                           std::int64_t row_end, int first, int depth) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * kDepth; i += kThreads) {
    const int r = i / kDepth;
    const int k = i % kDepth;
    const bool inside = first_row + r < row_end && first + k < depth;
    slice[r][k] = inside ? __bfloat162float(matrix[(first_row + r) * depth + first + k]) : 0.0f;
  }
}

// One kernel for both products: with kGated, weights are [2 * columns, depth] and the result is the gated activation.
template <bool kGated>
__global__ void __launch_bounds__(kThreads)
    product_kernel(const Bf16* __restrict__ weights, const Bf16* __restrict__ input,
                   const std::int32_t* __restrict__ offsets, int experts, int columns, int depth, int tile_tokens,
                   Bf16* __restrict__ output) {
  __shared__ int tiles_before[kMostFfnExperts + 1];
  __shared__ float x[kRows][kDepth + 1];
  __shared__ float w[kGated ? 2 : 1][kColumns][kDepth + 1];
  if (threadIdx.x < 32) fill_tiles_before(offsets, experts, tile_tokens, tiles_before);
  __syncthreads();
  const TileSchedule schedule{offsets, tiles_before, experts};
  const int weight_tiles = (columns + kColumns - 1) / kColumns;
  const int total = schedule.token_tiles() * weight_tiles;
  const int tx = static_cast<int>(threadIdx.x) % 16;
  const int ty = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t expert_rows = kGated ? 2 * static_cast<std::int64_t>(columns) : columns;

  for (int index = static_cast<int>(blockIdx.x); index < total; index += static_cast<int>(gridDim.x)) {
    const Tile tile = find_tile(schedule, index, weight_tiles, tile_tokens);
    const Bf16* expert_weights = weights + tile.expert * expert_rows * depth;
    const int column = tile.weight_tile * kColumns;
    const int row_end = min(tile.row + tile_tokens, tile.row_end);
    for (int row = tile.row; row < row_end; row += kRows) {
      float gate[kPerThread] = {};
      float up[kPerThread] = {};
      for (int k = 0; k < depth; k += kDepth) {
        load_slice(x, kRows, input, row, row_end, k, depth);
        load_slice(w[0], kColumns, expert_weights, column, columns, k, depth);
        if (kGated)
          load_slice(w[kGated ? 1 : 0], kColumns, expert_weights + static_cast<std::int64_t>(columns) * depth, column,
                     columns, k, depth);
        __syncthreads();
#pragma unroll 8
        for (int i = 0; i < kDepth; ++i) {
#pragma unroll
          for (int c = 0; c < kPerThread; ++c) {
            gate[c] = fmaf(x[ty][i], w[0][tx + 16 * c][i], gate[c]);
            if (kGated) up[c] = fmaf(x[ty][i], w[kGated ? 1 : 0][tx + 16 * c][i], up[c]);
          }
        }
        __syncthreads();
      }
#pragma unroll
      for (int c = 0; c < kPerThread; ++c) {
        const int h = column + tx + 16 * c;
        const float value = kGated ? gate[c] / (1.0f + __expf(-gate[c])) * up[c] : gate[c];
        if (row + ty < row_end && h < columns)
          output[static_cast<std::int64_t>(row + ty) * columns + h] = __float2bfloat16(value);
      }
    }
  }
}

}  // namespace

cudaError_t launch_grouped_ffn_plain(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part) {
  const GroupedFfnArguments& a = plan.arguments;
  const FfnWorkspace workspace = ffn_workspace(a);
  const auto blocks = static_cast<unsigned>(plan.multiprocessors * 4);
  if (part != FfnPart::down)
    product_kernel<true><<<blocks, kThreads, 0, stream>>>(
        static_cast<const Bf16*>(a.gate_up), static_cast<const Bf16*>(a.input), a.offsets, a.shape.experts,
        a.shape.intermediate, a.shape.hidden, a.tile_tokens, static_cast<Bf16*>(workspace.activations));
  if (part != FfnPart::gate_up)
    product_kernel<false><<<blocks, kThreads, 0, stream>>>(
        static_cast<const Bf16*>(a.down), static_cast<const Bf16*>(workspace.activations), a.offsets, a.shape.experts,
        a.shape.hidden, a.shape.intermediate, a.tile_tokens, static_cast<Bf16*>(a.output));
  return cudaGetLastError();
}

}  // namespace gem::kernels
