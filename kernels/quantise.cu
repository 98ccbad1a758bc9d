// Quantising to e4m3 (4 bits of exponent, 3 of mantissa, greatest value 448):
//
//   scale = max(greatest |value| of the block, 1e-10) / 448        quantised = round to e4m3(value / scale)
#include <cuda_bf16.h>
#include <cuda_fp8.h>

#include <algorithm>

#include "e4m3.cuh"
#include "grouped_ffn.hpp"
#include "quantise.hpp"

namespace gem::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / 32;
constexpr unsigned kMostBlocks = 65536;

// Four neighbouring values of one thread; a warp holds the 128 columns of a block in one row.
struct Four {
  float values[4];

  __device__ static Four load(const __nv_bfloat16* from) {
    const uint2 packed = *reinterpret_cast<const uint2*>(from);
    const auto* pairs = reinterpret_cast<const __nv_bfloat162*>(&packed);
    const float2 low = __bfloat1622float2(pairs[0]);
    const float2 high = __bfloat1622float2(pairs[1]);
    return {{low.x, low.y, high.x, high.y}};
  }
  __device__ float greatest() const {
    return fmaxf(fmaxf(fabsf(values[0]), fabsf(values[1])), fmaxf(fabsf(values[2]), fabsf(values[3])));
  }
  __device__ void store(unsigned char* to, float factor) const {
    const unsigned low =
        __nv_cvt_float2_to_fp8x2(make_float2(values[0] * factor, values[1] * factor), __NV_SATFINITE, __NV_E4M3);
    const unsigned high =
        __nv_cvt_float2_to_fp8x2(make_float2(values[2] * factor, values[3] * factor), __NV_SATFINITE, __NV_E4M3);
    *reinterpret_cast<unsigned*>(to) = low | high << 16;
  }
};

__device__ float warp_maximum(float value) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2) value = fmaxf(value, __shfl_xor_sync(0xffffffffu, value, step));
  return value;
}

// A warp a row and 128 columns.
__global__ void __launch_bounds__(kThreads)
    rows_kernel(const __nv_bfloat16* __restrict__ values, std::int64_t rows, int columns,
                unsigned char* __restrict__ quantised, float* __restrict__ scales, std::int64_t scale_stride) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int blocks = columns / kScaleBlock;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kWarps;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; i < rows * blocks;
       i += step) {
    const std::int64_t row = i / blocks;
    const std::int64_t block = i % blocks;
    const std::int64_t at = row * columns + block * kScaleBlock + lane * 4;
    const Four four = Four::load(values + at);
    const float greatest = fmaxf(warp_maximum(four.greatest()), kLeastMaximum);
    four.store(quantised + at, kE4m3Maximum / greatest);
    if (lane == 0) scales[block * scale_stride + row] = greatest / kE4m3Maximum;
  }
}

// A thread block a 128 x 128 block of weights, read twice: the second time from cache.
__global__ void __launch_bounds__(kThreads)
    weights_kernel(const __nv_bfloat16* __restrict__ values, std::int64_t weight_blocks, int columns,
                   unsigned char* __restrict__ quantised, float* __restrict__ scales) {
  __shared__ float maxima[kWarps];
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int blocks = columns / kScaleBlock;
  for (std::int64_t i = blockIdx.x; i < weight_blocks; i += gridDim.x) {
    const std::int64_t first = i / blocks * kScaleBlock * columns + i % blocks * kScaleBlock + lane * 4;
    float greatest = kLeastMaximum;
    for (int row = warp; row < kScaleBlock; row += kWarps)
      greatest = fmaxf(greatest, Four::load(values + first + static_cast<std::int64_t>(row) * columns).greatest());
    greatest = warp_maximum(greatest);
    if (lane == 0) maxima[warp] = greatest;
    __syncthreads();
    for (int w = 0; w < kWarps; ++w) greatest = fmaxf(greatest, maxima[w]);
    for (int row = warp; row < kScaleBlock; row += kWarps) {
      const std::int64_t at = first + static_cast<std::int64_t>(row) * columns;
      Four::load(values + at).store(quantised + at, kE4m3Maximum / greatest);
    }
    if (threadIdx.x == 0) scales[i] = greatest / kE4m3Maximum;
    __syncthreads();
  }
}

unsigned grid(std::int64_t work) {
  return static_cast<unsigned>(std::min<std::int64_t>(work, kMostBlocks));
}

}  // namespace

cudaError_t launch_quantise_rows(const void* values, std::int64_t rows, int columns, void* quantised, float* scales,
                                 std::int64_t scale_stride, cudaStream_t stream) {
  if (rows < 0 || columns <= 0 || columns % kScaleBlock != 0 || scale_stride < rows) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  const std::int64_t work = rows * (columns / kScaleBlock);
  rows_kernel<<<grid((work + kWarps - 1) / kWarps), kThreads, 0, stream>>>(
      static_cast<const __nv_bfloat16*>(values), rows, columns, static_cast<unsigned char*>(quantised), scales,
      scale_stride);
  return cudaGetLastError();
}

cudaError_t launch_quantise_weights(const void* values, std::int64_t rows, int columns, void* quantised, float* scales,
                                    cudaStream_t stream) {
  if (rows < 0 || rows % kScaleBlock != 0 || columns <= 0 || columns % kScaleBlock != 0) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  const std::int64_t work = rows / kScaleBlock * (columns / kScaleBlock);
  weights_kernel<<<grid(work), kThreads, 0, stream>>>(static_cast<const __nv_bfloat16*>(values), work, columns,
                                                      static_cast<unsigned char*>(quantised), scales);
  return cudaGetLastError();
}

}  // namespace gem::kernels
