// Products of one tile in the Hopper path of the grouped FFN: from stages in shared memory to accumulators in
// registers.
#pragma once

#include "grouped_ffn_walk.cuh"
#include "wgmma.cuh"

namespace gem::kernels::sm90 {

/// Addresses in shared memory that all roles use, and what they share besides the ring of stages.
template <class T>
struct Shared {
  std::uint32_t stages;
  std::uint32_t first_token_scales;   // fp8, as the next
  std::uint32_t first_weight_scales;  // of a stage: gate and up, or the first and the last 128 rows
  std::uint32_t full;                 // barriers: a stage's weights and tokens have arrived
  std::uint32_t empty;                // barriers: every multiplying warp that reads the stage is done with it
  const Walk<T>* walk;
  Tile* tiles;
  int* stored;  // tiles of product 1 that each warpgroup has stored

  __device__ std::uint32_t weights(int stage) const {
    return stages + static_cast<std::uint32_t>(T::kStageBytes * stage);
  }
  __device__ std::uint32_t tokens(int stage) const { return weights(stage) + T::kWeightSliceBytes * T::kSlices; }
  __device__ std::uint32_t token_scales(int stage) const {
    return first_token_scales + static_cast<std::uint32_t>(T::kTokenScaleBytes * stage);
  }
  __device__ std::uint32_t weight_scales(int stage) const {
    return first_weight_scales + static_cast<std::uint32_t>(T::kWeightScaleBytes * stage);
  }
};

/// A multiplying warp is done with a stage: tells the copying warps of the whole cluster.
template <class T>
__device__ __forceinline__ void release(const Shared<T>& shared, int stage) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if constexpr (T::kCluster > 1) {
    if (lane < T::kCluster) barrier_arrive_cluster(shared.empty + 8u * stage, static_cast<unsigned>(lane));
  } else {
    if (lane == 0) barrier_arrive(shared.empty + 8u * stage);
  }
}

/// bf16: one warpgroup's sums over the depth of a tile, in the tensor cores' own accumulators.
template <class T>
__device__ __forceinline__ void multiply_tile(const Shared<T>& shared, int steps, int group, Ring<T::kStages>* ring,
                                              float (&sums)[T::kSlabs][T::kTokens / 2]) {
  const std::uint32_t first_slab = static_cast<std::uint32_t>(group * T::kSlabs * 64 * 128);
  int previous = 0;
  for (int step = 0; step < steps; ++step) {
    barrier_wait(shared.full + 8u * ring->stage, ring->phase);
    const std::uint32_t weights = shared.weights(ring->stage) + first_slab;
    const std::uint32_t tokens = shared.tokens(ring->stage);
    wgmma_fence();
#pragma unroll
    for (int slice = 0; slice < T::kSlices; ++slice) {
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        const std::uint64_t b = matrix_descriptor(tokens + T::kTokenSliceBytes * slice + k * 32);
#pragma unroll
        for (int slab = 0; slab < T::kSlabs; ++slab) {
          const std::uint64_t w = matrix_descriptor(weights + T::kWeightSliceBytes * slice + slab * 64 * 128 + k * 32);
          Wgmma<T::kTokens>::multiply(sums[slab], w, b, (step | slice | k) != 0);
        }
      }
    }
    wgmma_commit();
    // One stage stays in flight; the one before it is read to the end and goes back to the copying warps.
    wgmma_wait<1>();
    if (step > 0) release(shared, previous);
    previous = ring->stage;
    ring->advance();
  }
  wgmma_wait<0>();
  release(shared, previous);
#pragma unroll
  for (int slab = 0; slab < T::kSlabs; ++slab)
#pragma unroll
    for (int i = 0; i < T::kTokens / 2; ++i) pin(sums[slab][i]);
}

/// fp8: the same, but every stage's product, 128 deep, is scaled and added to f32 sums: scales change with the depth,
/// and the tensor cores' own sums of e4m3 are too coarse for more. While one warpgroup adds, the other one multiplies.
/// `tile` may be read once the first stage is there.
template <class T>
__device__ __forceinline__ void multiply_scaled_tile(const Shared<T>& shared, const Tile* tile, int steps, bool down,
                                                     int group, Ring<T::kStages>* ring,
                                                     float (&sums)[T::kSlabs][T::kTokens / 2]) {
  const std::uint32_t first_slab = static_cast<std::uint32_t>(group * T::kSlabs * 64 * 128);
  const std::uint32_t first_token = static_cast<std::uint32_t>(threadIdx.x % 4 * 2 * 4);
#pragma unroll
  for (int slab = 0; slab < T::kSlabs; ++slab)
#pragma unroll
    for (int i = 0; i < T::kTokens / 2; ++i) sums[slab][i] = 0.0f;
  for (int step = 0; step < steps; ++step) {
    barrier_wait(shared.full + 8u * ring->stage, ring->phase);
    const std::uint32_t weights = shared.weights(ring->stage) + first_slab;
    const std::uint32_t tokens = shared.tokens(ring->stage);
    const auto first_scale = static_cast<std::uint32_t>(tile->row % kScaleAlignment * 4);
    const std::uint32_t token_scales = shared.token_scales(ring->stage) + first_scale + first_token;
    // Rows g of a thread are gate and rows g + 8 up; in the second product a warpgroup has 128 rows of one scale.
    float2 weight_scales = load_shared_f32x2(shared.weight_scales(ring->stage));
    if (down) weight_scales.x = weight_scales.y = group == 0 ? weight_scales.x : weight_scales.y;
#pragma unroll
    for (int slab = 0; slab < T::kSlabs; ++slab) {
      float product[T::kTokens / 2];
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < 4; ++k)
        WgmmaE4m3<T::kTokens>::multiply(product, matrix_descriptor(weights + slab * 64 * 128 + k * 32),
                                        matrix_descriptor(tokens + k * 32), k != 0);
      wgmma_commit();
      wgmma_wait<0>();
#pragma unroll
      for (int i = 0; i < T::kTokens / 2; ++i) pin(product[i]);
#pragma unroll
      for (int j = 0; j < T::kTokens / 8; ++j) {
        const float first = load_shared_f32(token_scales + j * 32);
        const float second = load_shared_f32(token_scales + j * 32 + 4);
        float* s = &sums[slab][j * 4];
        s[0] = fmaf(product[j * 4], first * weight_scales.x, s[0]);
        s[1] = fmaf(product[j * 4 + 1], second * weight_scales.x, s[1]);
        s[2] = fmaf(product[j * 4 + 2], first * weight_scales.y, s[2]);
        s[3] = fmaf(product[j * 4 + 3], second * weight_scales.y, s[3]);
      }
    }
    __syncwarp();  // every lane has read its scales
    release(shared, ring->stage);
    ring->advance();
  }
}

}  // namespace gem::kernels::sm90
