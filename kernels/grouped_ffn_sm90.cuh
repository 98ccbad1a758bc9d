// Grouped FFN for Hopper: one persistent kernel for both products.
//
//   product 1:  activation[r, i] = silu(sum_k x[r, k] Wg[i, k]) * sum_k x[r, k] Wu[i, k]
//   product 2:  output[r, h]     = sum_i activation[r, i] Wd[h, i]
//
// The weights are always the M side of wgmma and the tokens the N side: tile_tokens can then be 16 as well as 256, a
// tile of few tokens wastes nothing, and rows that aren't this expert's end up in columns that nobody stores.
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
// Clusters (kCluster = 2): two blocks take neighbouring weight tiles of the same tokens, each copies half of the tokens
// to both.
#pragma once

#include <cuda.h>

#include <new>

#include "grouped_ffn_sm90.hpp"
#include "grouped_ffn_walk.cuh"
#include "hopper.cuh"
#include "wgmma.cuh"

namespace gem::kernels {

namespace sm90 {

__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
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
    if (column < columns) {
#pragma unroll
      for (int r = thread / kVectors; r < T::kChunk; r += 128 / kVectors) {
        const int row = chunk * T::kChunk + r;
        if (row < rows)
          *reinterpret_cast<uint4*>(first + static_cast<std::int64_t>(row) * columns) =
              load_shared_16(staging + static_cast<std::uint32_t>(r * kStride + thread % kVectors * 16));
      }
    }
  }
  named_barrier(1 + group, 128);
}

/// Addresses in shared memory that all roles use, and what they share besides the ring of stages.
template <class T>
struct Shared {
  std::uint32_t stages;
  std::uint32_t full;   // barriers: a stage's weights and tokens have arrived
  std::uint32_t empty;  // barriers: every multiplying warp that reads the stage is done with it
  const Walk<T>* walk;
  Tile* tiles;
  int* stored;  // tiles of product 1 that each warpgroup has stored

  __device__ std::uint32_t weights(int stage) const {
    return stages + static_cast<std::uint32_t>(T::kStageBytes * stage);
  }
  __device__ std::uint32_t tokens(int stage) const { return weights(stage) + T::kWeightSliceBytes * T::kSlices; }
};

/// One thread: all weight tiles of the block, as fast as stages come free.
template <class T>
__device__ __forceinline__ void copy_weights(const Shared<T>& shared, const FfnKernelArguments& a,
                                             const CUtensorMap* gate_up_map, const CUtensorMap* down_map) {
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const Tile tile = shared.walk->tile(n);
    const int steps = down ? a.steps_down : a.steps_gate_up;
    for (int step = 0; step < steps; ++step) {
      const std::uint32_t barrier = shared.full + 8u * ring.stage;
      barrier_wait(shared.empty + 8u * ring.stage, ring.phase ^ 1u);
      if (step == 0) shared.tiles[n % T::kTileSlots] = tile;  // seen by the multiplying warps behind the full barrier
      barrier_expect(barrier, T::kWeightSliceBytes * T::kSlices);
#pragma unroll
      for (int slice = 0; slice < T::kSlices; ++slice) {
        const std::uint32_t target = shared.weights(ring.stage) + T::kWeightSliceBytes * slice;
        const int k = step * T::kDepth + slice * 64;
        if (down)
          copy_tile_3d(target, down_map, barrier, k, tile.weight_tile * T::kWeightRows, tile.expert);
        else
          copy_tile_5d(target, gate_up_map, barrier, k, 0, 0, tile.weight_tile * (T::kWeightRows / 16), tile.expert);
      }
      ring.advance();
    }
  }
}

/// One thread: all token tiles of the block; those of product 2 once their activations are stored.
template <class T>
__device__ __forceinline__ void copy_tokens(const Shared<T>& shared, const FfnKernelArguments& a,
                                            const CUtensorMap* input_map, const CUtensorMap* activation_map) {
  constexpr int kShare = T::kTokens / T::kCluster;
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const Tile tile = shared.walk->tile(n);
    const int steps = down ? a.steps_down : a.steps_gate_up;
    const CUtensorMap* map = down ? activation_map : input_map;
    if (down && a.part == 3) wait_for_activations(a.counters + 1 + tile.token_tile, shared.walk->parts());
    for (int step = 0; step < steps; ++step) {
      const std::uint32_t barrier = shared.full + 8u * ring.stage;
      barrier_wait(shared.empty + 8u * ring.stage, ring.phase ^ 1u);
      barrier_expect(barrier, T::kTokenSliceBytes * T::kSlices);
#pragma unroll
      for (int slice = 0; slice < T::kSlices; ++slice) {
        const std::uint32_t target = shared.tokens(ring.stage) + T::kTokenSliceBytes * slice;
        const int k = step * T::kDepth + slice * 64;
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
                                         int group) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t first_slab = static_cast<std::uint32_t>(group * T::kSlabs * 64 * 128);
  const auto release = [&](int stage) {
    if constexpr (T::kCluster > 1) {
      if (lane < T::kCluster) barrier_arrive_cluster(shared.empty + 8u * stage, static_cast<unsigned>(lane));
    } else {
      if (lane == 0) barrier_arrive(shared.empty + 8u * stage);
    }
  };
  float sums[T::kSlabs][T::kTokens / 2];
  Ring<T::kStages> ring;
  bool down;
  for (int n = 0; shared.walk->has(n, &down); ++n) {
    const int steps = down ? a.steps_down : a.steps_gate_up;
    int previous = 0;
    for (int step = 0; step < steps; ++step) {
      barrier_wait(shared.full + 8u * ring.stage, ring.phase);
      const std::uint32_t weights = shared.weights(ring.stage) + first_slab;
      const std::uint32_t tokens = shared.tokens(ring.stage);
      wgmma_fence();
#pragma unroll
      for (int slice = 0; slice < T::kSlices; ++slice) {
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const std::uint64_t b = matrix_descriptor(tokens + T::kTokenSliceBytes * slice + k * 32);
#pragma unroll
          for (int slab = 0; slab < T::kSlabs; ++slab) {
            const std::uint64_t w =
                matrix_descriptor(weights + T::kWeightSliceBytes * slice + slab * 64 * 128 + k * 32);
            Wgmma<T::kTokens>::multiply(sums[slab], w, b, (step | slice | k) != 0);
          }
        }
      }
      wgmma_commit();
      // One stage stays in flight; the one before it is read to the end and goes back to the copying warps.
      wgmma_wait<1>();
      if (step > 0) release(previous);
      previous = ring.stage;
      ring.advance();
    }
    wgmma_wait<0>();
    release(previous);
#pragma unroll
    for (int slab = 0; slab < T::kSlabs; ++slab)
#pragma unroll
      for (int i = 0; i < T::kTokens / 2; ++i) pin(sums[slab][i]);
    const Tile tile = shared.tiles[n % T::kTileSlots];
    if (down) {
      store_tile<T, false>(sums, staging, group, tile, a.output, a.hidden);
    } else {
      store_tile<T, true>(sums, staging, group, tile, a.activations, a.intermediate);
      if (a.part == 3 && threadIdx.x % 128 == 0) add_release_shared(shared.stored + group, 1);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kResident)
    ffn_kernel(const __grid_constant__ CUtensorMap gate_up_map, const __grid_constant__ CUtensorMap input_map,
               const __grid_constant__ CUtensorMap down_map, const __grid_constant__ CUtensorMap activation_map,
               const FfnKernelArguments a) {
  extern __shared__ unsigned char dynamic[];
  // The walk is in shared memory, because the multiplying warps have no registers to spare.
  __shared__ alignas(Walk<T>) unsigned char walk_memory[sizeof(Walk<T>)];
  __shared__ Tile tiles[T::kTileSlots];
  __shared__ int stored[T::kGroups];
  // Swizzle groups start at multiples of 1024 bytes.
  unsigned char* aligned = dynamic + (1024u - shared_address(dynamic) % 1024u) % 1024u;
  unsigned char* staging = aligned + T::kStageBytes * T::kStages;
  auto* barriers = reinterpret_cast<std::uint64_t*>(staging + T::kStagingBytes * T::kGroups);
  auto* tiles_before = reinterpret_cast<int*>(barriers + 2 * T::kStages);
  const std::uint32_t full = shared_address(barriers);
  const Shared<T> shared{shared_address(aligned),
                         full,
                         full + 8u * T::kStages,
                         reinterpret_cast<const Walk<T>*>(walk_memory),
                         tiles,
                         stored};
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;

  if (threadIdx.x == 0) {
    for (unsigned s = 0; s < T::kStages; ++s) {
      barrier_init(shared.full + 8 * s, 2);                               // both copying warps
      barrier_init(shared.empty + 8 * s, 4u * T::kGroups * T::kCluster);  // every multiplying warp of the cluster
    }
    fence_barrier_init();
    for (int group = 0; group < T::kGroups; ++group) stored[group] = 0;
  }
  if (warp == 1 && lane == 0) {
    prefetch_tensor_map(&gate_up_map);
    prefetch_tensor_map(&input_map);
    prefetch_tensor_map(&down_map);
    prefetch_tensor_map(&activation_map);
  }
  if (warp == 2) {
    fill_tiles_before(a.offsets, a.experts, T::kTokens, tiles_before);
    __syncwarp();
    if (lane == 0) new (walk_memory) Walk<T>(a, tiles_before);
  }
  __syncthreads();
  if constexpr (T::kCluster > 1) cluster_sync();

  if (warp < 4) {
    if constexpr (T::kMoveRegisters) registers_down<T::kCopyRegisters>();
    if (warp == 0) {
      if (lane == 0) copy_weights<T>(shared, a, &gate_up_map, &down_map);
    } else if (warp == 1) {
      if (lane == 0) copy_tokens<T>(shared, a, &input_map, &activation_map);
      __syncwarp();
      if (a.part == 3) clear_counters(a.counters, shared.walk->token_tiles(), lane);
    } else if (warp < 2 + T::kGroups) {
      if (lane == 0 && a.part == 3) report_stored<T>(shared, a, warp - 2);
    }
    __syncwarp();
  } else {
    if constexpr (T::kMoveRegisters) registers_up<T::kMultiplyRegisters>();
    const int group = warp / 4 - 1;
    multiply<T>(shared, a, shared_address(staging) + static_cast<std::uint32_t>(T::kStagingBytes * group), group);
  }
  // A block must not leave while its neighbour can still write to its shared memory.
  if constexpr (T::kCluster > 1) cluster_sync();
}

}  // namespace sm90

/// `busy_from`: mean rows per expert from which this variant goes before the others of its tile.
template <class T>
FfnVariant ffn_variant(const char* name, double busy_from = 0.0) {
  return {name,
          T::kTokens,
          T::kWeightRows,
          T::kCluster,
          T::kDepth,
          T::kThreads,
          T::kSharedBytes,
          busy_from,
          reinterpret_cast<const void*>(&sm90::ffn_kernel<T>)};
}

}  // namespace gem::kernels
