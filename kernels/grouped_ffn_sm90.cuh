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
// weights never do: they run ahead by all stages), then kGroups warpgroups multiply. Product 2 waits for its own rows'
// activations by a counter per token tile, not for all of product 1, so the memory never idles between the products.
// Tiles are dealt to blocks in order, product 1 first, and product 1 never waits: every block that waits waits for work
// that is running.
//
// Clusters (kCluster = 2): two blocks take neighbouring weight tiles of the same tokens, each copies half of the tokens
// to both.
#pragma once

#include <cuda.h>

#include "grouped_ffn_sm90.hpp"
#include "hopper.cuh"
#include "tile_schedule.cuh"
#include "wgmma.cuh"

namespace gem::kernels {

/// Sizes of one kernel variant: tokens per tile, 64-row weight slabs per warpgroup, multiplying warpgroups, 64-deep
/// slices per pipeline stage, stages, blocks per cluster, blocks per multiprocessor.
template <int kTokens_, int kSlabs_, int kGroups_, int kSlices_, int kStages_, int kCluster_ = 1, int kResident_ = 1>
struct FfnTile {
  static constexpr int kTokens = kTokens_;
  static constexpr int kSlabs = kSlabs_;
  static constexpr int kGroups = kGroups_;
  static constexpr int kSlices = kSlices_;
  static constexpr int kStages = kStages_;
  static constexpr int kCluster = kCluster_;
  static constexpr int kResident = kResident_;
  static constexpr int kWeightRows = 64 * kSlabs * kGroups;
  static constexpr int kDepth = 64 * kSlices;
  static constexpr int kThreads = 128 * (kGroups + 1);
  static constexpr int kWeightSliceBytes = kWeightRows * 128;
  static constexpr int kTokenSliceBytes = kTokens * 128;
  static constexpr int kStageBytes = (kWeightSliceBytes + kTokenSliceBytes) * kSlices;
  // Staging of results: kChunk tokens by the columns of one warpgroup, rows padded by 16 bytes against bank conflicts.
  static constexpr int kChunk = kTokens < 32 ? kTokens : 32;
  static constexpr int kStagingBytes = kChunk * (kSlabs * 128 + 16);
  static constexpr int kBarrierBytes = 2 * kStages * 8;
  static constexpr int kSharedBytes =
      1024 + kStageBytes * kStages + kStagingBytes * kGroups + kBarrierBytes + (kMostFfnExperts + 1) * 4;
  static_assert(kSharedBytes <= 233472 / kResident - 1024, "a multiprocessor of Hopper has 228 KiB of shared memory");
  // Registers: what the compiler may use at entry is 65536 / (threads * resident) for every thread alike. Where the
  // accumulators need more, copying warps give theirs up.
  static constexpr bool kMoveRegisters = kGroups == 2 || (kResident == 2 && kSlabs * kTokens >= 192);
  static constexpr int kCopyRegisters = 40;
  static constexpr int kMultiplyRegisters = kGroups == 2 ? 232 : 208;
  static_assert(kResident == 1 || kGroups == 1, "two blocks of three warpgroups leave too few registers");
  static_assert(kCluster == 1 || kTokens >= 16 * kCluster, "each block copies whole swizzle groups");
};

namespace sm90 {

__device__ __forceinline__ std::uint32_t pack(float low, float high) {
  const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&pair);
}

__device__ __forceinline__ float gated(float gate, float up) {
  return __fdividef(gate, 1.0f + __expf(-gate)) * up;
}

/// Stage and phase of the ring that all roles walk alike.
template <int kStages>
struct Ring {
  int stage = 0;
  unsigned phase = 0;
  __device__ __forceinline__ void advance() {
    if (++stage == kStages) {
      stage = 0;
      phase ^= 1u;
    }
  }
};

/// The walk over a block's tiles: the same in every role.
template <class T>
struct Walk {
  TileSchedule schedule;
  int pairs_gate_up;  // weight tiles of each product, in units of a cluster
  int pairs_down;
  int total_gate_up;
  int total;
  int rank;

  __device__ Walk(const FfnKernelArguments& a, const int* tiles_before, int rank_)
      : schedule{a.offsets, tiles_before, a.experts}, rank(rank_) {
    constexpr int kUnits = T::kWeightRows / 2 * T::kCluster;
    constexpr int kRows = T::kWeightRows * T::kCluster;
    pairs_gate_up = (a.intermediate + kUnits - 1) / kUnits;
    pairs_down = (a.hidden + kRows - 1) / kRows;
    const int tiles = schedule.token_tiles();
    total_gate_up = (a.part & 1) != 0 ? tiles * pairs_gate_up : 0;
    total = total_gate_up + ((a.part & 2) != 0 ? tiles * pairs_down : 0);
  }
  __device__ bool is_down(int index) const { return index >= total_gate_up; }
  __device__ Tile tile(int index) const {
    const bool down = is_down(index);
    Tile t = find_tile(schedule, down ? index - total_gate_up : index, down ? pairs_down : pairs_gate_up, T::kTokens);
    t.weight_tile = t.weight_tile * T::kCluster + rank;
    return t;
  }
  __device__ int first() const { return static_cast<int>(blockIdx.x) / T::kCluster; }
  __device__ int step() const { return static_cast<int>(gridDim.x) / T::kCluster; }
};

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

/// Rounds one warpgroup's accumulators to bf16 and stores them as rows of tokens, through shared memory so that the
/// stores are 16 bytes wide and contiguous.
template <class T, bool kGated>
__device__ __forceinline__ void store_tile(float (&sums)[T::kSlabs][T::kTokens / 2], unsigned char* staging, int group,
                                           const Tile& tile, __nv_bfloat16* output, int columns) {
  constexpr int kSlabColumns = kGated ? 32 : 64;
  constexpr int kColumns = kSlabColumns * T::kSlabs;
  constexpr int kStride = kColumns * 2 + 16;
  constexpr int kVectors = kColumns / 8;
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int first_column = tile.weight_tile * (kSlabColumns * T::kSlabs * T::kGroups) + group * kColumns;
  const std::uint32_t base = shared_address(staging);
  const std::uint32_t target = base + static_cast<std::uint32_t>(((lane / 8 % 2) * 8 + lane % 8) * kStride) +
                               static_cast<std::uint32_t>(kGated ? warp * 16 : warp * 32 + lane / 16 * 16);
#pragma unroll
  for (int chunk = 0; chunk < T::kTokens / T::kChunk; ++chunk) {
    const int row = tile.row + chunk * T::kChunk;
    if (row >= tile.row_end) break;
    named_barrier(1 + group, 128);  // the chunk before has been read
#pragma unroll
    for (int q = 0; q < T::kChunk / 16; ++q) {
      const int j = (chunk * T::kChunk + q * 16) / 2;  // first of the 8 accumulators that hold these 16 tokens
#pragma unroll
      for (int slab = 0; slab < T::kSlabs; ++slab) {
        const float* s = &sums[slab][j];
        const std::uint32_t address = target + static_cast<std::uint32_t>(q * 16 * kStride + slab * kSlabColumns * 2);
        if constexpr (kGated)
          store_matrix_x2_transposed(address, pack(gated(s[0], s[2]), gated(s[1], s[3])),
                                     pack(gated(s[4], s[6]), gated(s[5], s[7])));
        else
          store_matrix_x4_transposed(address, pack(s[0], s[1]), pack(s[4], s[5]), pack(s[2], s[3]), pack(s[6], s[7]));
      }
    }
    named_barrier(1 + group, 128);
#pragma unroll
    for (int v = thread; v < T::kChunk * kVectors; v += 128) {
      const int r = v / kVectors;
      const int c = v % kVectors;
      if (row + r < tile.row_end && first_column + c * 8 < columns)
        *reinterpret_cast<uint4*>(output + static_cast<std::int64_t>(row + r) * columns + first_column + c * 8) =
            *reinterpret_cast<const uint4*>(staging + r * kStride + c * 16);
    }
  }
}

template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kResident)
    ffn_kernel(const __grid_constant__ CUtensorMap gate_up_map, const __grid_constant__ CUtensorMap input_map,
               const __grid_constant__ CUtensorMap down_map, const __grid_constant__ CUtensorMap activation_map,
               const FfnKernelArguments a) {
  extern __shared__ unsigned char shared_raw[];
  // Swizzle groups start at multiples of 1024 bytes.
  unsigned char* shared = shared_raw + (1024u - shared_address(shared_raw) % 1024u) % 1024u;
  unsigned char* staging = shared + T::kStageBytes * T::kStages;
  auto* barriers = reinterpret_cast<std::uint64_t*>(staging + T::kStagingBytes * T::kGroups);
  auto* tiles_before = reinterpret_cast<int*>(barriers + 2 * T::kStages);
  const std::uint32_t stages = shared_address(shared);
  const std::uint32_t full = shared_address(barriers);
  const std::uint32_t empty = full + 8u * T::kStages;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int rank = T::kCluster > 1 ? static_cast<int>(cluster_rank()) : 0;

  if (threadIdx.x == 0) {
    for (unsigned s = 0; s < T::kStages; ++s) {
      barrier_init(full + 8 * s, 2);                               // both copying warps
      barrier_init(empty + 8 * s, 4u * T::kGroups * T::kCluster);  // every multiplying warp of the cluster
    }
    fence_barrier_init();
  }
  if (warp == 1 && lane == 0) {
    prefetch_tensor_map(&gate_up_map);
    prefetch_tensor_map(&input_map);
    prefetch_tensor_map(&down_map);
    prefetch_tensor_map(&activation_map);
  }
  if (warp == 2) fill_tiles_before(a.offsets, a.experts, T::kTokens, tiles_before);
  __syncthreads();
  if constexpr (T::kCluster > 1) cluster_sync();

  const Walk<T> walk(a, tiles_before, rank);
  const int steps_gate_up = (a.hidden + T::kDepth - 1) / T::kDepth;
  const int steps_down = (a.intermediate + T::kDepth - 1) / T::kDepth;
  const bool coupled = a.part == 3;
  Ring<T::kStages> ring;

  if (warp < 4) {
    if constexpr (T::kMoveRegisters) registers_down<T::kCopyRegisters>();
    if (warp == 0 && lane == 0) {
      for (int index = walk.first(); index < walk.total; index += walk.step()) {
        const Tile tile = walk.tile(index);
        const bool down = walk.is_down(index);
        const int steps = down ? steps_down : steps_gate_up;
        for (int step = 0; step < steps; ++step) {
          const std::uint32_t barrier = full + 8u * ring.stage;
          const std::uint32_t target = stages + static_cast<std::uint32_t>(T::kStageBytes * ring.stage);
          barrier_wait(empty + 8u * ring.stage, ring.phase ^ 1u);
          barrier_expect(barrier, T::kWeightSliceBytes * T::kSlices);
#pragma unroll
          for (int slice = 0; slice < T::kSlices; ++slice) {
            const std::uint32_t slab = target + static_cast<std::uint32_t>(T::kWeightSliceBytes * slice);
            const int k = step * T::kDepth + slice * 64;
            if (down)
              copy_tile_3d(slab, &down_map, barrier, k, tile.weight_tile * T::kWeightRows, tile.expert);
            else
              copy_tile_5d(slab, &gate_up_map, barrier, k, 0, 0, tile.weight_tile * (T::kWeightRows / 16), tile.expert);
          }
          ring.advance();
        }
      }
    } else if (warp == 1 && lane == 0) {
      constexpr int kShare = T::kTokens / T::kCluster;
      for (int index = walk.first(); index < walk.total; index += walk.step()) {
        const Tile tile = walk.tile(index);
        const bool down = walk.is_down(index);
        const int steps = down ? steps_down : steps_gate_up;
        const CUtensorMap* map = down ? &activation_map : &input_map;
        if (down && coupled)
          wait_for_activations(a.counters + 1 + tile.token_tile, walk.pairs_gate_up * T::kCluster * T::kGroups);
        for (int step = 0; step < steps; ++step) {
          const std::uint32_t barrier = full + 8u * ring.stage;
          const std::uint32_t target =
              stages + static_cast<std::uint32_t>(T::kStageBytes * ring.stage + T::kWeightSliceBytes * T::kSlices);
          barrier_wait(empty + 8u * ring.stage, ring.phase ^ 1u);
          barrier_expect(barrier, T::kTokenSliceBytes * T::kSlices);
#pragma unroll
          for (int slice = 0; slice < T::kSlices; ++slice) {
            const std::uint32_t slab = target + static_cast<std::uint32_t>(T::kTokenSliceBytes * slice);
            const int k = step * T::kDepth + slice * 64;
            if constexpr (T::kCluster > 1)
              copy_tile_2d_multicast(slab + static_cast<std::uint32_t>(rank * kShare * 128), map, barrier, k,
                                     tile.row + rank * kShare, (1u << T::kCluster) - 1u);
            else
              copy_tile_2d(slab, map, barrier, k, tile.row);
          }
          ring.advance();
        }
      }
    }
    __syncwarp();
  } else {
    if constexpr (T::kMoveRegisters) registers_up<T::kMultiplyRegisters>();
    const int group = warp / 4 - 1;
    float sums[T::kSlabs][T::kTokens / 2];
    const std::uint32_t weight_offset = static_cast<std::uint32_t>(group * T::kSlabs * 64 * 128);
    const auto release = [&](int stage) {
      if constexpr (T::kCluster > 1) {
        if (lane < T::kCluster) barrier_arrive_cluster(empty + 8u * stage, static_cast<unsigned>(lane));
      } else {
        if (lane == 0) barrier_arrive(empty + 8u * stage);
      }
    };
    for (int index = walk.first(); index < walk.total; index += walk.step()) {
      const Tile tile = walk.tile(index);
      const bool down = walk.is_down(index);
      const int steps = down ? steps_down : steps_gate_up;
      int previous = 0;
      for (int step = 0; step < steps; ++step) {
        barrier_wait(full + 8u * ring.stage, ring.phase);
        const std::uint32_t weights = stages + static_cast<std::uint32_t>(T::kStageBytes * ring.stage) + weight_offset;
        const std::uint32_t tokens =
            stages + static_cast<std::uint32_t>(T::kStageBytes * ring.stage + T::kWeightSliceBytes * T::kSlices);
        wgmma_fence();
#pragma unroll
        for (int slice = 0; slice < T::kSlices; ++slice) {
#pragma unroll
          for (int k = 0; k < 4; ++k) {
            const std::uint64_t b =
                matrix_descriptor(tokens + static_cast<std::uint32_t>(T::kTokenSliceBytes * slice + k * 32));
#pragma unroll
            for (int slab = 0; slab < T::kSlabs; ++slab) {
              const std::uint64_t w = matrix_descriptor(
                  weights + static_cast<std::uint32_t>(T::kWeightSliceBytes * slice + slab * 64 * 128 + k * 32));
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
      unsigned char* own_staging = staging + T::kStagingBytes * group;
      if (down) {
        store_tile<T, false>(sums, own_staging, group, tile, a.output, a.hidden);
      } else {
        store_tile<T, true>(sums, own_staging, group, tile, a.activations, a.intermediate);
        if (coupled) {
          fence_async_proxy();
          named_barrier(1 + group, 128);
          if (threadIdx.x % 128 == 0) add_release(a.counters + 1 + tile.token_tile, 1);
        }
      }
    }
  }

  // The last block leaves the counters at zero for the next launch.
  if (coupled) {
    __syncthreads();
    if (warp == 0) {
      int last = 0;
      if (lane == 0) {
        __threadfence();
        last = atomicAdd(a.counters, 1) == static_cast<int>(gridDim.x) - 1;
        __threadfence();
      }
      if (__shfl_sync(0xffffffffu, last, 0) != 0)
        for (int i = lane; i <= walk.schedule.token_tiles(); i += 32) a.counters[i] = 0;
    }
  }
  // A block must not leave while its neighbour can still write to its shared memory.
  if constexpr (T::kCluster > 1) cluster_sync();
}

}  // namespace sm90

template <class T>
FfnVariant ffn_variant(const char* name) {
  return {name,
          T::kTokens,
          T::kWeightRows,
          T::kCluster,
          T::kThreads,
          T::kSharedBytes,
          reinterpret_cast<const void*>(&sm90::ffn_kernel<T>)};
}

}  // namespace gem::kernels
