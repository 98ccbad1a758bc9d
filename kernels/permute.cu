// Permutation of tokens to expert order.
//
//   permuted[row(t, j)] = input[t]                   output[t] = sum_j weight[t, j] * permuted[row(t, j)]
#include <cuda_bf16.h>

#include "permute.hpp"

namespace gem::kernels {
namespace {

constexpr int kVector = 8;  // bf16 in 16 bytes

// One block a (token, choice): a row is copied in 16-byte vectors.
__global__ void permute_kernel(const uint4* __restrict__ input, const std::int32_t* __restrict__ row_map, int top_k,
                               int vectors, uint4* __restrict__ permuted) {
  const std::int64_t pair = blockIdx.x;
  const std::int32_t row = row_map[pair];
  if (row < 0) return;
  const uint4* source = input + pair / top_k * vectors;
  uint4* target = permuted + static_cast<std::int64_t>(row) * vectors;
  for (int v = static_cast<int>(threadIdx.x); v < vectors; v += static_cast<int>(blockDim.x)) target[v] = source[v];
}

__global__ void unpermute_kernel(const uint4* __restrict__ permuted, const std::int32_t* __restrict__ row_map,
                                 const float* __restrict__ weights, int top_k, int vectors,
                                 uint4* __restrict__ output) {
  const std::int64_t token = blockIdx.x;
  for (int v = static_cast<int>(threadIdx.x); v < vectors; v += static_cast<int>(blockDim.x)) {
    float sum[kVector] = {};
    for (int j = 0; j < top_k; ++j) {
      const std::int32_t row = row_map[token * top_k + j];
      if (row < 0) continue;
      const float weight = weights[token * top_k + j];
      const uint4 packed = permuted[static_cast<std::int64_t>(row) * vectors + v];
      const auto* values = reinterpret_cast<const __nv_bfloat16*>(&packed);
#pragma unroll
      for (int i = 0; i < kVector; ++i) sum[i] = fmaf(weight, __bfloat162float(values[i]), sum[i]);
    }
    uint4 packed;
    auto* values = reinterpret_cast<__nv_bfloat16*>(&packed);
#pragma unroll
    for (int i = 0; i < kVector; ++i) values[i] = __float2bfloat16(sum[i]);
    output[token * vectors + v] = packed;
  }
}

bool servable(std::int64_t tokens, int top_k, int hidden) {
  return tokens >= 0 && top_k > 0 && hidden > 0 && hidden % kVector == 0 && tokens * top_k <= INT32_MAX;
}

unsigned copy_threads(int vectors) {
  return vectors >= 256 ? 256u : static_cast<unsigned>((vectors + 31) / 32 * 32);
}

}  // namespace

cudaError_t launch_permute(const void* input, const std::int32_t* row_map, std::int64_t tokens, int top_k, int hidden,
                           void* permuted, cudaStream_t stream) {
  if (!servable(tokens, top_k, hidden)) return cudaErrorInvalidValue;
  if (tokens == 0) return cudaSuccess;
  const int vectors = hidden / kVector;
  permute_kernel<<<static_cast<unsigned>(tokens * top_k), copy_threads(vectors), 0, stream>>>(
      static_cast<const uint4*>(input), row_map, top_k, vectors, static_cast<uint4*>(permuted));
  return cudaGetLastError();
}

cudaError_t launch_unpermute(const void* permuted, const std::int32_t* row_map, const float* weights,
                             std::int64_t tokens, int top_k, int hidden, void* output, cudaStream_t stream) {
  if (!servable(tokens, top_k, hidden)) return cudaErrorInvalidValue;
  if (tokens == 0) return cudaSuccess;
  const int vectors = hidden / kVector;
  unpermute_kernel<<<static_cast<unsigned>(tokens), copy_threads(vectors), 0, stream>>>(
      static_cast<const uint4*>(permuted), row_map, weights, top_k, vectors, static_cast<uint4*>(output));
  return cudaGetLastError();
}

}  // namespace gem::kernels
