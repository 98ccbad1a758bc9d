// Norm and router of a decoder layer.
//
//   normalised[t, i] = x[t, i] / sqrt(1/n sum_j x[t, j]^2 + 1e-6)
//   ids[t] = the k largest of logits[t], weights[t] = softmax over these k
#include <cuda_bf16.h>

#include "decoder_rows.hpp"

namespace gem::kernels {
namespace {

constexpr int kVector = 8;  // bf16 in 16 bytes
constexpr int kNormThreads = 256;
constexpr int kWarp = 32;
constexpr int kMostExperts = 1024;

__device__ inline float warp_sum(float value) {
  for (int lane = kWarp / 2; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

// One block a row, which is read twice: the second time from L1 or L2.
__global__ void rms_norm_kernel(const uint4* __restrict__ input, int vectors, float columns,
                                uint4* __restrict__ output) {
  __shared__ float sums[kNormThreads / kWarp];
  const uint4* row = input + static_cast<std::int64_t>(blockIdx.x) * vectors;
  float square = 0.0f;
  for (int v = static_cast<int>(threadIdx.x); v < vectors; v += kNormThreads) {
    const uint4 packed = row[v];
    const auto* values = reinterpret_cast<const __nv_bfloat16*>(&packed);
#pragma unroll
    for (int i = 0; i < kVector; ++i) square = fmaf(__bfloat162float(values[i]), __bfloat162float(values[i]), square);
  }
  square = warp_sum(square);
  if (threadIdx.x % kWarp == 0) sums[threadIdx.x / kWarp] = square;
  __syncthreads();
  square = 0.0f;
  for (const float sum : sums) square += sum;
  const float scale = rsqrtf(square / columns + 1e-6f);
  uint4* target = output + static_cast<std::int64_t>(blockIdx.x) * vectors;
  for (int v = static_cast<int>(threadIdx.x); v < vectors; v += kNormThreads) {
    uint4 packed = row[v];
    auto* values = reinterpret_cast<__nv_bfloat16*>(&packed);
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[i] = __float2bfloat16(scale * __bfloat162float(values[i]));
    target[v] = packed;
  }
}

// One warp a row: each lane keeps its experts' logits; k rounds find the largest that is left.
__global__ void top_k_kernel(const __nv_bfloat16* __restrict__ logits, int experts, int top_k,
                             std::int32_t* __restrict__ ids, float* __restrict__ weights) {
  const std::int64_t row = blockIdx.x;
  const int lane = static_cast<int>(threadIdx.x);
  float own[kMostExperts / kWarp];
#pragma unroll
  for (int i = 0; i < kMostExperts / kWarp; ++i) {
    const int expert = i * kWarp + lane;
    own[i] = expert < experts ? __bfloat162float(logits[row * experts + expert]) : -INFINITY;
  }
  float mine = -INFINITY;  // the lane's choice, of round `lane`
  for (int round = 0; round < top_k; ++round) {
    float best = -INFINITY;
    int index = kMostExperts;
#pragma unroll
    for (int i = 0; i < kMostExperts / kWarp; ++i)
      if (own[i] > best) {
        best = own[i];
        index = i * kWarp + lane;
      }
    for (int other = kWarp / 2; other > 0; other /= 2) {
      const float value = __shfl_xor_sync(0xffffffffu, best, other);
      const int place = __shfl_xor_sync(0xffffffffu, index, other);
      if (value > best || (value == best && place < index)) {
        best = value;
        index = place;
      }
    }
#pragma unroll
    for (int i = 0; i < kMostExperts / kWarp; ++i)
      if (i * kWarp + lane == index) own[i] = -INFINITY;
    if (lane == round) {
      mine = best;
      ids[row * top_k + round] = index;
    }
  }
  const float highest = __shfl_sync(0xffffffffu, mine, 0);
  const float weight = lane < top_k ? __expf(mine - highest) : 0.0f;
  const float sum = warp_sum(weight);
  if (lane < top_k) weights[row * top_k + lane] = weight / sum;
}

}  // namespace

cudaError_t launch_rms_norm(const void* input, std::int64_t rows, int columns, void* output, cudaStream_t stream) {
  if (rows < 0 || rows > INT32_MAX || columns <= 0 || columns % kVector != 0) return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  rms_norm_kernel<<<static_cast<unsigned>(rows), kNormThreads, 0, stream>>>(
      static_cast<const uint4*>(input), columns / kVector, static_cast<float>(columns), static_cast<uint4*>(output));
  return cudaGetLastError();
}

cudaError_t launch_top_k(const void* logits, std::int64_t rows, int experts, int top_k, std::int32_t* ids,
                         float* weights, cudaStream_t stream) {
  if (rows < 0 || rows > INT32_MAX || top_k <= 0 || top_k > kWarp || experts < top_k || experts > kMostExperts)
    return cudaErrorInvalidValue;
  if (rows == 0) return cudaSuccess;
  top_k_kernel<<<static_cast<unsigned>(rows), kWarp, 0, stream>>>(static_cast<const __nv_bfloat16*>(logits), experts,
                                                                  top_k, ids, weights);
  return cudaGetLastError();
}

}  // namespace gem::kernels
