// Grouped FFN without anything that only one architecture has:
//
//   activation[r, i] = silu(sum_k x[r, k] Wg[i, k]) * sum_k x[r, k] Wu[i, k]       output[r, h] = sum_i activation[r,
//   i] Wd[h, i]
//
// A block of 16 x 16 threads computes tile_tokens rows times 64 columns, 16 rows at a time, from 32-wide slices of both
// operands in shared memory, in f32; e4m3 is scaled on the way there. Made to be right and easy to check, not to be
// fast.
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include "grouped_ffn_paths.hpp"
#include "quantise.hpp"
#include "tile_schedule.cuh"

namespace gem::kernels {
namespace {

constexpr int kColumns = 64;
constexpr int kRows = 16;
constexpr int kDepth = 32;
constexpr int kThreads = 256;
constexpr int kPerThread = kColumns / 16;

using Bf16 = __nv_bfloat16;

// Row-major bf16 [rows, depth].
struct Bf16Matrix {
  const Bf16* values;
  __device__ float at(std::int64_t row, int k, int depth) const { return __bfloat162float(values[row * depth + k]); }
};

__device__ float from_e4m3(__nv_fp8_storage_t value) {
  return __half2float(__half(__nv_cvt_fp8_to_halfraw(value, __NV_E4M3)));
}

// Row-major e4m3 [rows, depth] with a scale for each block: scales [rows / 128, depth / 128].
struct Fp8Weights {
  const __nv_fp8_storage_t* values;
  const float* scales;
  __device__ float at(std::int64_t row, int k, int depth) const {
    return from_e4m3(values[row * depth + k]) * scales[row / kScaleBlock * (depth / kScaleBlock) + k / kScaleBlock];
  }
};

// Row-major e4m3 [rows, depth] with a scale for each row and 128 columns: scales [depth / 128, stride].
struct Fp8Tokens {
  const __nv_fp8_storage_t* values;
  const float* scales;
  std::int64_t stride;
  __device__ float at(std::int64_t row, int k, int depth) const {
    return from_e4m3(values[row * depth + k]) * scales[k / kScaleBlock * stride + row];
  }
};

// Loads rows x kDepth of a matrix from row `first_row` on, zeros from `row_end` on.
template <class Matrix>
__device__ void load_slice(float (*slice)[kDepth + 1], int rows, const Matrix& matrix, std::int64_t first_row,
                           std::int64_t row_end, int first, int depth) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * kDepth; i += kThreads) {
    const int r = i / kDepth;
    const int k = i % kDepth;
    const bool inside = first_row + r < row_end && first + k < depth;
    slice[r][k] = inside ? matrix.at(first_row + r, first + k, depth) : 0.0f;
  }
}

// One kernel for both products: weights of an expert are [columns, depth], with kGated [2 * columns, depth], and then
// the result is the gated activation.
template <bool kGated, class Weights, class Tokens>
__global__ void __launch_bounds__(kThreads)
    product_kernel(const Weights weights, const Tokens input, const std::int32_t* __restrict__ offsets, int experts,
                   int columns, int depth, int tile_tokens, Bf16* __restrict__ output) {
  __shared__ ExpertOrder order;
  __shared__ float x[kRows][kDepth + 1];
  __shared__ float w[kGated ? 2 : 1][kColumns][kDepth + 1];
  order_experts(offsets, experts, tile_tokens, &order);
  __syncthreads();
  const TileSchedule schedule{offsets, &order, order.active};
  const int weight_tiles = (columns + kColumns - 1) / kColumns;
  const int total = schedule.token_tiles() * weight_tiles;
  const int tx = static_cast<int>(threadIdx.x) % 16;
  const int ty = static_cast<int>(threadIdx.x) / 16;
  const std::int64_t expert_rows = kGated ? 2 * static_cast<std::int64_t>(columns) : columns;

  for (int index = static_cast<int>(blockIdx.x); index < total; index += static_cast<int>(gridDim.x)) {
    const Tile tile = find_tile(schedule, index, weight_tiles, tile_tokens);
    const std::int64_t expert_row = tile.expert * expert_rows;
    const int column = tile.weight_tile * kColumns;
    const int row_end = min(tile.row + tile_tokens, tile.row_end);
    for (int row = tile.row; row < row_end; row += kRows) {
      float gate[kPerThread] = {};
      float up[kPerThread] = {};
      for (int k = 0; k < depth; k += kDepth) {
        load_slice(x, kRows, input, row, row_end, k, depth);
        load_slice(w[0], kColumns, weights, expert_row + column, expert_row + columns, k, depth);
        if (kGated)
          load_slice(w[kGated ? 1 : 0], kColumns, weights, expert_row + columns + column, expert_row + 2 * columns, k,
                     depth);
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

template <bool kGated, class Weights, class Tokens>
void launch_product(const GroupedFfnPlan& plan, const Weights& weights, const Tokens& input, void* output,
                    cudaStream_t stream) {
  const GroupedFfnArguments& a = plan.arguments;
  const int columns = kGated ? a.shape.intermediate : a.shape.hidden;
  const int depth = kGated ? a.shape.hidden : a.shape.intermediate;
  product_kernel<kGated><<<static_cast<unsigned>(plan.multiprocessors * 4), kThreads, 0, stream>>>(
      weights, input, a.offsets, a.shape.experts, columns, depth, a.tile_tokens, static_cast<Bf16*>(output));
}

cudaError_t launch_fp8(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part) {
  using Value = __nv_fp8_storage_t;
  const GroupedFfnArguments& a = plan.arguments;
  const FfnWorkspace workspace = ffn_workspace(a);
  const std::int64_t stride = token_scale_stride(a.max_rows);
  if (part != FfnPart::down) {
    launch_product<true>(plan, Fp8Weights{static_cast<const Value*>(a.gate_up), a.gate_up_scales},
                         Fp8Tokens{static_cast<const Value*>(a.input), a.input_scales, stride}, workspace.unquantised,
                         stream);
    const cudaError_t error = launch_quantise_rows(workspace.unquantised, a.max_rows, a.shape.intermediate,
                                                   workspace.activations, workspace.activation_scales, stride, stream);
    if (error != cudaSuccess) return error;
  }
  if (part != FfnPart::gate_up)
    launch_product<false>(
        plan, Fp8Weights{static_cast<const Value*>(a.down), a.down_scales},
        Fp8Tokens{static_cast<const Value*>(workspace.activations), workspace.activation_scales, stride}, a.output,
        stream);
  return cudaGetLastError();
}

}  // namespace

cudaError_t launch_grouped_ffn_plain(const GroupedFfnPlan& plan, cudaStream_t stream, FfnPart part) {
  const GroupedFfnArguments& a = plan.arguments;
  if (a.shape.type == FfnType::fp8) return launch_fp8(plan, stream, part);
  void* activations = ffn_workspace(a).activations;
  const auto matrix = [](const void* values) { return Bf16Matrix{static_cast<const Bf16*>(values)}; };
  if (part != FfnPart::down) launch_product<true>(plan, matrix(a.gate_up), matrix(a.input), activations, stream);
  if (part != FfnPart::gate_up) launch_product<false>(plan, matrix(a.down), matrix(activations), a.output, stream);
  return cudaGetLastError();
}

}  // namespace gem::kernels
