// Permutation of tokens to expert order.
//
//   counts[e]  = #{ (t, j) : id[t, j] = e }          offsets[e] = sum_{f < e} counts[f]
//   row(t, j)  = offsets[id[t, j]] + #{ (t', j') before (t, j) : id[t', j'] = id[t, j] }
//   permuted[row(t, j)] = input[t]                   output[t] = sum_j weight[t, j] * permuted[row(t, j)]
//
// One block an expert counts and ranks: no atomics, so the order is the same on every run. The ids are a few hundred
// KiB at most and stay in L2, so reading them once per expert costs little.
#include <cuda_bf16.h>

#include "permute.hpp"
#include "warp.cuh"

namespace gem::kernels {
namespace {

constexpr int kRouteThreads = 256;
constexpr int kWarps = kRouteThreads / 32;
constexpr int kVector = 8;  // bf16 in 16 bytes

__global__ void count_kernel(const std::int32_t* __restrict__ ids, std::int64_t pairs,
                             std::int32_t* __restrict__ counts) {
  __shared__ int total;
  if (threadIdx.x == 0) total = 0;
  __syncthreads();
  const int expert = static_cast<int>(blockIdx.x);
  int mine = 0;
  for (std::int64_t i = threadIdx.x; i < pairs; i += kRouteThreads) mine += ids[i] == expert;
  mine = warp_sum(mine);
  if (threadIdx.x % 32 == 0) atomicAdd(&total, mine);
  __syncthreads();
  if (threadIdx.x == 0) counts[expert] = total;
}

__global__ void rank_kernel(const std::int32_t* __restrict__ ids, std::int64_t pairs, int experts,
                            const std::int32_t* __restrict__ counts, std::int32_t* __restrict__ offsets,
                            std::int32_t* __restrict__ row_map) {
  __shared__ int first_row;
  __shared__ int warp_hits[kWarps];
  const int expert = static_cast<int>(blockIdx.x);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (threadIdx.x == 0) first_row = 0;
  __syncthreads();
  int before = 0;
  for (int e = static_cast<int>(threadIdx.x); e < expert; e += kRouteThreads) before += counts[e];
  before = warp_sum(before);
  if (lane == 0) atomicAdd(&first_row, before);
  __syncthreads();
  int next = first_row;
  if (threadIdx.x == 0) {
    offsets[expert] = next;
    if (expert == experts - 1) offsets[experts] = next + counts[expert];
  }
  for (std::int64_t start = 0; start < pairs; start += kRouteThreads) {
    const std::int64_t i = start + threadIdx.x;
    const int id = i < pairs ? ids[i] : -1;
    const bool hit = id == expert;
    const unsigned ballot = __ballot_sync(0xffffffffu, hit);
    if (lane == 0) warp_hits[warp] = __popc(ballot);
    __syncthreads();
    int ahead = 0;
    int all = 0;
    for (int w = 0; w < kWarps; ++w) {
      ahead += w < warp ? warp_hits[w] : 0;
      all += warp_hits[w];
    }
    if (hit) row_map[i] = next + ahead + __popc(ballot & ((1u << lane) - 1u));
    // Block 0 also marks the choices that no expert here serves.
    if (expert == 0 && i < pairs && (id < 0 || id >= experts)) row_map[i] = -1;
    next += all;
    __syncthreads();
  }
}

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

cudaError_t launch_route(const std::int32_t* topk_ids, std::int64_t tokens, int top_k, int experts,
                         std::int32_t* counts, std::int32_t* offsets, std::int32_t* row_map, cudaStream_t stream) {
  if (tokens < 0 || top_k <= 0 || experts <= 0 || tokens * top_k > INT32_MAX) return cudaErrorInvalidValue;
  const std::int64_t pairs = tokens * top_k;
  const auto blocks = static_cast<unsigned>(experts);
  count_kernel<<<blocks, kRouteThreads, 0, stream>>>(topk_ids, pairs, counts);
  rank_kernel<<<blocks, kRouteThreads, 0, stream>>>(topk_ids, pairs, experts, counts, offsets, row_map);
  return cudaGetLastError();
}

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
