// value(i, seed) = (word(i, seed) / 2^31 - 1) * amplitude,  word(i, seed) = mix(lo(i) ^ mix(hi(i) + seed *
// 0x9e3779b9)), mix = the 32-bit finaliser of MurmurHash3 (public domain, Austin Appleby): a bijection, so neighbouring
// words never agree by structure.
#include <cuda_bf16.h>

#include "random_values.hpp"

namespace gem::kernels {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kBlocks = 1056;  // 8 blocks on each of 132 multiprocessors; any number is right

__device__ inline std::uint32_t mix(std::uint32_t h) {
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  return h;
}

__device__ inline std::uint32_t word_at(std::uint64_t index, std::uint32_t seed) {
  const auto low = static_cast<std::uint32_t>(index);
  const auto high = static_cast<std::uint32_t>(index >> 32);
  return mix(low ^ mix(high + seed * 0x9e3779b9u));
}

__global__ void random_kernel(__nv_bfloat16* values, std::size_t count, float amplitude, std::uint32_t seed) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * blockDim.x;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count; i += step) {
    const auto centred = static_cast<std::int32_t>(word_at(i, seed) ^ 0x80000000u);
    values[i] = __float2bfloat16(static_cast<float>(centred) * 4.656612873e-10f * amplitude);  // 2^-31
  }
}

}  // namespace

cudaError_t launch_random_bf16(void* values, std::size_t count, float amplitude, std::uint32_t seed,
                               cudaStream_t stream) {
  if (count == 0) return cudaSuccess;
  random_kernel<<<kBlocks, kThreads, 0, stream>>>(static_cast<__nv_bfloat16*>(values), count, amplitude, seed);
  return cudaGetLastError();
}

}  // namespace gem::kernels
