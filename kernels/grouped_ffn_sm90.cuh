// Grouped FFN for Hopper: one persistent kernel for both products.
//
//   product 1:  activation[r, i] = silu(sum_k x[r, k] Wg[i, k]) * sum_k x[r, k] Wu[i, k]
//   product 2:  output[r, h]     = sum_i activation[r, i] Wd[h, i]
//
// The weights are the M side of wgmma and the tokens the N side (but for 128 tokens in fp8,
// grouped_ffn_token_rows.cuh): tile_tokens can then be 16 as well as 256, a tile of few tokens wastes nothing, and rows
// that aren't this expert's end up in columns that nobody stores.
//
// Gate and up: the tensor map interleaves 8 gate rows with 8 up rows. A thread of wgmma's accumulator holds rows g and
// g + 8, so it holds gate and up of the same (unit, token): SwiGLU needs no exchange.
//
// Blocks: warp 0 copies weights, warp 1 copies tokens (two warps, because tokens of product 2 may have to wait and
// weights never do: they run ahead by all stages), warps 2 and 3 report stored activations, then kGroups warpgroups
// multiply. Product 2 waits for its own rows'
// activations by a counter per token tile, not for all of product 1, so the memory never idles between the products.
// Tiles are dealt to blocks in order, product 1 first, and product 1 never waits: every block that waits waits for work
// that is running.
//
// fp8 (grouped_ffn_products.cuh, grouped_ffn_store.cuh): every stage, 128 deep, brings its scales along, and its
// product is scaled and added outside of the tensor cores. 256 weight rows a tile: the 128 units that share a scale of
// the activations are then all in one block.
//
// Clusters (kCluster = 2): two blocks take neighbouring weight tiles of the same tokens, each copies half of the tokens
// to both.
#pragma once

#include <cuda.h>

#include <new>

#include "grouped_ffn_products.cuh"
#include "grouped_ffn_sm90.hpp"
#include "grouped_ffn_store.cuh"
#include "grouped_ffn_token_rows.cuh"
#include "grouped_ffn_walk.cuh"
#include "hopper.cuh"

namespace gem::kernels {

namespace sm90 {

/// Waits until all parts of a token tile's activations are stored.
__device__ __forceinline__ void wait_for_activations(const std::int32_t* counter, int parts) {
#ifdef GEM_BOUNDED_WAIT
  for (int i = 0; load_acquire(counter) < parts; ++i)
    if (i > 4000000) __trap();
#else
  while (load_acquire(counter) < parts) __nanosleep(40);
#endif
  fence_async_proxy();
}

/// Leaves the counters at zero for the next launch; called by a whole warp of each block after its last wait. When the
/// last block comes by, every wait of every block is over, and so is every count.
__device__ __forceinline__ void clear_counters(std::int32_t* counters, int token_tiles, int lane) {
  int last = 0;
  if (lane == 0) {
    __threadfence();
    last = atomicAdd(counters, 1) == static_cast<int>(gridDim.x) - 1;
    __threadfence();
  }
  if (__shfl_sync(0xffffffffu, last, 0) != 0)
    for (int i = lane; i <= token_tiles; i += 32) counters[i] = 0;
}

/// fp8: the two scales of a stage's weights; nobody waits but the multiplying warps, behind the full barrier.
template <class T>
__device__ __forceinline__ void copy_weight_scales(std::uint32_t target, std::uint32_t barrier,
                                                   const FfnKernelArguments& a, const Tile& tile, bool down, int step) {
  const int width = down ? a.steps_down : a.steps_gate_up;
  const int height = down ? a.hidden / kScaleBlock : 2 * (a.intermediate / kScaleBlock);
  const int first = down ? tile.weight_tile * 2 : tile.weight_tile;
  const int second = down ? min(first + 1, height - 1) : first + height / 2;
  const float* scales =
      (down ? a.down_scales : a.gate_up_scales) + static_cast<std::int64_t>(tile.expert) * height * width + step;
  copy_async_4(target, scales + first * width);
  copy_async_4(target + 4, scales + second * width);
  barrier_arrive_when_copied(barrier);
}

/// One thread: all weight tiles of the block, as fast as stages come free.
template <class T>
__device__ __forceinline__ void copy_weights(const Shared<T>& shared, const FfnKernelArguments& a,
                                             const FfnTensorMaps& maps) {
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const Tile tile = shared.walk->tile(n);
    const int steps = down ? a.steps_down : a.steps_gate_up;
    for (int step = 0; step < steps; ++step) {
      const std::uint32_t barrier = shared.full + 8u * ring.stage;
      barrier_wait(shared.empty + 8u * ring.stage, ring.phase ^ 1u);
      if (step == 0) shared.tiles[n % T::kTileSlots] = tile;  // seen by the multiplying warps behind the full barrier
      if constexpr (T::kScaled) copy_weight_scales<T>(shared.weight_scales(ring.stage), barrier, a, tile, down, step);
      barrier_expect(barrier, T::kWeightSliceBytes * T::kSlices);
#pragma unroll
      for (int slice = 0; slice < T::kSlices; ++slice) {
        const std::uint32_t target = shared.weights(ring.stage) + T::kWeightSliceBytes * slice;
        const int k = step * T::kDepth + slice * T::kSliceDepth;
        if (down)
          copy_tile_3d(target, &maps.down, barrier, k, tile.weight_tile * T::kWeightRows, tile.expert);
        else
          copy_tile_5d(target, &maps.gate_up, barrier, k, 0, 0, tile.weight_tile * (T::kWeightRows / 16), tile.expert);
      }
      ring.advance();
    }
  }
}

/// One thread: all token tiles of the block; those of product 2 once their activations are stored.
template <class T>
__device__ __forceinline__ void copy_tokens(const Shared<T>& shared, const FfnKernelArguments& a,
                                            const FfnTensorMaps& maps) {
  constexpr int kShare = T::kTokens / T::kCluster;
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const Tile tile = shared.walk->tile(n);
    const int steps = down ? a.steps_down : a.steps_gate_up;
    const CUtensorMap* map = down ? &maps.activations : &maps.input;
    if (down && a.part == 3) wait_for_activations(a.counters + 1 + tile.token_tile, shared.walk->parts());
    for (int step = 0; step < steps; ++step) {
      const std::uint32_t barrier = shared.full + 8u * ring.stage;
      barrier_wait(shared.empty + 8u * ring.stage, ring.phase ^ 1u);
      barrier_expect(barrier, T::kTokenSliceBytes * T::kSlices + T::kCopiedScales * 4);
      if constexpr (T::kScaled)
        copy_tile_2d(shared.token_scales(ring.stage), down ? &maps.activation_scales : &maps.input_scales, barrier,
                     tile.row / kScaleAlignment * kScaleAlignment, step);
#pragma unroll
      for (int slice = 0; slice < T::kSlices; ++slice) {
        const std::uint32_t target = shared.tokens(ring.stage) + T::kTokenSliceBytes * slice;
        const int k = step * T::kDepth + slice * T::kSliceDepth;
        if constexpr (T::kCluster > 1) {
          const int share = shared.walk->rank() * kShare;
          copy_tile_2d_multicast(target + static_cast<std::uint32_t>(share * 128), map, barrier, k, tile.row + share,
                                 (1u << T::kCluster) - 1u);
        } else {
          copy_tile_2d(target, map, barrier, k, tile.row);
        }
      }
      ring.advance();
    }
  }
}

/// One thread for each warpgroup: tells other blocks which activations are stored. Here, because the fence takes about
/// a thousand cycles, and a multiplying warpgroup would stand still for it.
template <class T>
__device__ __forceinline__ void report_stored(const Shared<T>& shared, const FfnKernelArguments& a, int group) {
  bool down;
  for (int n = 0; shared.walk->has(n, &down) && !down; ++n) {
    const Tile tile = shared.walk->tile(n);
    while (load_acquire_shared(shared.stored + group) <= n) __nanosleep(100);
    add_release(a.counters + 1 + tile.token_tile, 1);
  }
}

/// One warpgroup: multiplies its rows of every weight tile with the tokens and stores the results.
template <class T>
__device__ __forceinline__ void multiply(const Shared<T>& shared, const FfnKernelArguments& a, std::uint32_t staging,
                                         const QuantiseSpace& space, int group) {
  float sums[T::kSlabs][T::kTokens / 2];
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const int steps = down ? a.steps_down : a.steps_gate_up;
    const Tile* slot = shared.tiles + n % T::kTileSlots;
    if constexpr (T::kTokenRows)
      multiply_token_rows(shared, slot, steps, down, group, &ring, sums);
    else if constexpr (T::kScaled)
      multiply_scaled_tile(shared, slot, steps, down, group, &ring, sums);
    else
      multiply_tile(shared, steps, group, &ring, sums);
    const Tile tile = *slot;
    if (down) {
      if constexpr (T::kTokenRows)
        store_output_rows<T>(sums, staging, group, tile, a.output, a.hidden);
      else
        store_tile<T, false>(sums, staging, group, tile, a.output, a.hidden);
    } else {
      if constexpr (T::kTokenRows)
        store_activation_rows<T>(sums, staging, group, tile, a);
      else if constexpr (T::kScaled)
        store_quantised<T>(sums, staging, space, group, tile, a);
      else
        store_tile<T, true>(sums, staging, group, tile, static_cast<__nv_bfloat16*>(a.activations), a.intermediate);
      if (a.part == 3 && threadIdx.x % 128 == 0) add_release_shared(shared.stored + group, 1);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kResident)
    ffn_kernel(const __grid_constant__ FfnTensorMaps maps, const FfnKernelArguments a) {
  extern __shared__ unsigned char dynamic[];
  // The walk is in shared memory, because the multiplying warps have no registers to spare.
  __shared__ alignas(Walk<T>) unsigned char walk_memory[sizeof(Walk<T>)];
  __shared__ Tile tiles[T::kTileSlots];
  __shared__ int stored[T::kGroups];
  // Swizzle groups start at multiples of 1024 bytes.
  unsigned char* aligned = dynamic + (1024u - shared_address(dynamic) % 1024u) % 1024u;
  unsigned char* token_scales = aligned + T::kStageBytes * T::kStages;
  // From here on in falling order of alignment: results 16 bytes, the rest 8.
  unsigned char* staging = token_scales + T::kTokenScaleBytes * T::kStages;
  unsigned char* maxima = staging + T::kStagingBytes * T::kGroups;
  unsigned char* factors = maxima + T::kMaximaBytes;
  unsigned char* weight_scales = factors + T::kFactorBytes;
  auto* barriers = reinterpret_cast<std::uint64_t*>(weight_scales + T::kWeightScaleBytes * T::kStages);
  auto* order = reinterpret_cast<ExpertOrder*>(barriers + 2 * T::kStages);
  const std::uint32_t full = shared_address(barriers);
  const Shared<T> shared{shared_address(aligned),
                         shared_address(token_scales),
                         shared_address(weight_scales),
                         full,
                         full + 8u * T::kStages,
                         reinterpret_cast<const Walk<T>*>(walk_memory),
                         tiles,
                         stored};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  if (threadIdx.x == 0) {
    for (unsigned s = 0; s < T::kStages; ++s) {
      barrier_init(shared.full + 8 * s, T::kScaled ? 3 : 2);              // both copying warps, weight scales
      barrier_init(shared.empty + 8 * s, 4u * T::kGroups * T::kCluster);  // every multiplying warp of the cluster
    }
    fence_barrier_init();
    for (int group = 0; group < T::kGroups; ++group) stored[group] = 0;
  }
  if (warp == 1 && lane == 0) {
    prefetch_tensor_map(&maps.gate_up);
    prefetch_tensor_map(&maps.input);
    prefetch_tensor_map(&maps.down);
    prefetch_tensor_map(&maps.activations);
    if constexpr (T::kScaled) {
      prefetch_tensor_map(&maps.input_scales);
      prefetch_tensor_map(&maps.activation_scales);
    }
  }
  order_experts(a.offsets, a.experts, T::kTokens, order);
  __syncthreads();
  if (threadIdx.x == 0) new (walk_memory) Walk<T>(a, order);
  __syncthreads();
  if constexpr (T::kCluster > 1) cluster_sync();

  if (warp < 4) {
    if constexpr (T::kMoveRegisters) registers_down<T::kCopyRegisters>();
    if (warp == 0) {
      if (lane == 0) copy_weights<T>(shared, a, maps);
    } else if (warp == 1) {
      if (lane == 0) copy_tokens<T>(shared, a, maps);
      __syncwarp();
      if (a.part == 3) clear_counters(a.counters, shared.walk->token_tiles(), lane);
    } else if (warp < 2 + T::kGroups) {
      if (lane == 0 && a.part == 3) report_stored<T>(shared, a, warp - 2);
    }
    __syncwarp();
  } else {
    if constexpr (T::kMoveRegisters) registers_up<T::kMultiplyRegisters>();
    const int group = warp / 4 - 1;
    multiply<T>(shared, a, shared_address(staging) + static_cast<std::uint32_t>(T::kStagingBytes * group),
                {shared_address(maxima), shared_address(factors)}, group);
  }
  // A block must not leave while its neighbour can still write to its shared memory.
  if constexpr (T::kCluster > 1) cluster_sync();
}

}  // namespace sm90

/// `busy_from`: mean rows per expert from which this variant goes before the others of its tile.
template <class T>
FfnVariant ffn_variant(const char* name, double busy_from = 0.0) {
  return {name,      T::kType,    T::kTokens,      T::kWeightRows, T::kCluster,
          T::kDepth, T::kThreads, T::kSharedBytes, busy_from,      reinterpret_cast<const void*>(&sm90::ffn_kernel<T>)};
}

}  // namespace gem::kernels
