// Ends of tiles in the Hopper path of the grouped FFN: from accumulators in registers to rows of tokens in memory.
//
// A thread of wgmma's accumulator holds for every 8 tokens rows g and g + 8 of its warp's 16, and of those the tokens
// 2 (lane % 4) and 2 (lane % 4) + 1, where g = lane / 4.
#pragma once

#include <cuda_fp8.h>

#include "e4m3.cuh"
#include "grouped_ffn_walk.cuh"

namespace gem::kernels::sm90 {

/// Two values in bf16, the first one in the low half.
__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

/// Two values in e4m3, the first one in the low byte.
__device__ __forceinline__ unsigned short e4m3_pair(float first, float second) {
  return __nv_cvt_float2_to_fp8x2(make_float2(first, second), __NV_SATFINITE, __NV_E4M3);
}

/// silu(gate) * up with the hardware's exponential and reciprocal, denormals flushed: six instructions. Library
/// division and exponential take three times as many, and there are 64 to 128 of these in each thread of a tile.
__device__ __forceinline__ float gated(float gate, float up) {
  float exponential;
  float reciprocal;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(exponential) : "f"(gate * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(reciprocal) : "f"(exponential + 1.0f));
  return gate * reciprocal * up;
}

/// Copies a chunk of a warpgroup's rows of kVectors x 16 bytes, kStride apart, from its staging to memory, where rows
/// of the tile are `columns` elements apart and `first` is this thread's part of the first.
template <class T, int kVectors, int kStride, class Element>
__device__ __forceinline__ void copy_chunk(std::uint32_t staging, int chunk, int rows, Element* first, int columns) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
#pragma unroll
  for (int r = thread / kVectors; r < T::kChunk; r += 128 / kVectors) {
    const int row = chunk * T::kChunk + r;
    if (row < rows)
      *reinterpret_cast<uint4*>(first + static_cast<std::int64_t>(row) * columns) =
          load_shared_16(staging + static_cast<std::uint32_t>(r * kStride + thread % kVectors * 16));
  }
}

/// Rounds one warpgroup's accumulators to bf16 and stores them as rows of tokens: through shared memory, transposed on
/// the way, so that stores to memory are 16 bytes wide and contiguous.
template <class T, bool kGated>
__device__ __forceinline__ void store_tile(const float (&sums)[T::kSlabs][T::kTokens / 2], std::uint32_t staging,
                                           int group, const Tile& tile, __nv_bfloat16* output, int columns) {
  constexpr int kSlabColumns = kGated ? 32 : 64;
  constexpr int kColumns = kSlabColumns * T::kSlabs;
  constexpr int kStride = kColumns * 2 + 16;  // 16 more than the row against bank conflicts
  constexpr int kVectors = kColumns / 8;
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const std::uint32_t target = staging + static_cast<std::uint32_t>((lane / 8 % 2 * 8 + lane % 8) * kStride) +
                               static_cast<std::uint32_t>(kGated ? warp * 16 : warp * 32 + lane / 16 * 16);
  const int column = tile.weight_tile * (kColumns * T::kGroups) + group * kColumns + thread % kVectors * 8;
  const int rows = tile.row_end - tile.row;
  __nv_bfloat16* first = output + static_cast<std::int64_t>(tile.row) * columns + column;
#pragma unroll
  for (int chunk = 0; chunk < T::kTokens / T::kChunk; ++chunk) {
    if (chunk * T::kChunk >= rows) break;
    if (chunk > 0) named_barrier(1 + group, 128);  // the chunk before has been read
#pragma unroll
    for (int q = 0; q < T::kChunk / 16; ++q) {
#pragma unroll
      for (int slab = 0; slab < T::kSlabs; ++slab) {
        const std::uint32_t address = target + static_cast<std::uint32_t>(q * 16 * kStride + slab * kSlabColumns * 2);
        const float* s = &sums[slab][(chunk * T::kChunk + q * 16) / 2];  // the accumulators of these 16 tokens
        if constexpr (kGated)
          store_matrix_x2_transposed(address, pack(gated(s[0], s[2]), gated(s[1], s[3])),
                                     pack(gated(s[4], s[6]), gated(s[5], s[7])));
        else
          store_matrix_x4_transposed(address, pack(s[0], s[1]), pack(s[4], s[5]), pack(s[2], s[3]), pack(s[6], s[7]));
      }
    }
    named_barrier(1 + group, 128);
    if (column < columns) copy_chunk<T, kVectors, kStride>(staging, chunk, rows, first, columns);
  }
  named_barrier(1 + group, 128);
}

/// What quantising needs of shared memory.
struct QuantiseSpace {
  std::uint32_t maxima;   // f32 [multiplying warps, tokens]: greatest absolute activation of each token
  std::uint32_t factors;  // f32 [multiplying warpgroups, tokens]
};

/// The end of a tile of product 1 in fp8: SwiGLU, one scale for each token's 128 activations, which the warpgroups of
/// this block hold together, and e4m3 of activation / scale, where scale = greatest absolute activation / 448.
template <class T>
__device__ __forceinline__ void store_quantised(float (&sums)[T::kSlabs][T::kTokens / 2], std::uint32_t staging,
                                                const QuantiseSpace& space, int group, const Tile& tile,
                                                const FfnKernelArguments& a) {
  constexpr int kColumns = 32 * T::kSlabs;
  constexpr int kStride = kColumns + 16;
  constexpr int kVectors = kColumns / 16;
  constexpr int kWarps = 4 * T::kGroups;
  constexpr int kBlockBarrier = 1 + T::kGroups;
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int rows = tile.row_end - tile.row;
  const std::uint32_t maxima = space.maxima + static_cast<std::uint32_t>((group * 4 + warp) * T::kTokens * 4);
  const std::uint32_t factors = space.factors + static_cast<std::uint32_t>(group * T::kTokens * 4);
#pragma unroll
  for (int j = 0; j < T::kTokens / 8; ++j) {
    float first = 0.0f;
    float second = 0.0f;
#pragma unroll
    for (int slab = 0; slab < T::kSlabs; ++slab) {
      float* s = &sums[slab][j * 4];
      s[0] = gated(s[0], s[2]);
      s[1] = gated(s[1], s[3]);
      first = fmaxf(first, fabsf(s[0]));
      second = fmaxf(second, fabsf(s[1]));
    }
#pragma unroll
    for (int step = 4; step < 32; step *= 2) {
      first = fmaxf(first, __shfl_xor_sync(0xffffffffu, first, step));
      second = fmaxf(second, __shfl_xor_sync(0xffffffffu, second, step));
    }
    if (lane < 4) store_shared_f32x2(maxima + static_cast<std::uint32_t>((j * 8 + lane * 2) * 4), first, second);
  }
  named_barrier(kBlockBarrier, 128 * T::kGroups);
  if (thread < T::kTokens) {
    float most = kLeastMaximum;
#pragma unroll
    for (int w = 0; w < kWarps; ++w)
      most = fmaxf(most, load_shared_f32(space.maxima + static_cast<std::uint32_t>((w * T::kTokens + thread) * 4)));
    store_shared_f32(factors + static_cast<std::uint32_t>(thread * 4), kE4m3Maximum / most);
    if (group == 0 && thread < rows)
      a.activation_scales[tile.weight_tile * a.scale_stride + tile.row + thread] = most / kE4m3Maximum;
  }
  named_barrier(kBlockBarrier, 128 * T::kGroups);  // factors are there, maxima may be overwritten

  unsigned char* first = static_cast<unsigned char*>(a.activations) +
                         static_cast<std::int64_t>(tile.row) * a.intermediate + tile.weight_tile * kScaleBlock +
                         group * kColumns + thread % kVectors * 16;
  const std::uint32_t target = staging + static_cast<std::uint32_t>(lane % 4 * 2 * kStride + warp * 8 + lane / 4);
#pragma unroll
  for (int chunk = 0; chunk < T::kTokens / T::kChunk; ++chunk) {
    if (chunk * T::kChunk >= rows) break;
    if (chunk > 0) named_barrier(1 + group, 128);  // the chunk before has been read
#pragma unroll
    for (int q = 0; q < T::kChunk / 8; ++q) {
      const int j = chunk * (T::kChunk / 8) + q;
      const float2 factor = load_shared_f32x2(factors + static_cast<std::uint32_t>((j * 8 + lane % 4 * 2) * 4));
#pragma unroll
      for (int slab = 0; slab < T::kSlabs; ++slab) {
        const unsigned pair = e4m3_pair(sums[slab][j * 4] * factor.x, sums[slab][j * 4 + 1] * factor.y);
        const std::uint32_t address = target + static_cast<std::uint32_t>(q * 8 * kStride + slab * 32);
        store_shared_u8(address, pair & 0xffu);
        store_shared_u8(address + kStride, pair >> 8);
      }
    }
    named_barrier(1 + group, 128);
    copy_chunk<T, kVectors, kStride>(staging, chunk, rows, first, a.intermediate);
  }
  named_barrier(1 + group, 128);
}

}  // namespace gem::kernels::sm90
