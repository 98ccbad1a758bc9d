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

#include <new>

#include "grouped_ffn_sm90.hpp"
#include "hopper.cuh"
#include "tile_schedule.cuh"
#include "wgmma.cuh"

namespace gem::kernels {

/// Sizes of one kernel variant: tokens per tile, 64-row weight slabs per warpgroup, multiplying warpgroups, 64-deep
/// slices per pipeline stage, stages, blocks per cluster, blocks per multiprocessor.
template <int kTokens_, int kSlabs_, int kGroups_, int kSlices_, int kStages_, int kCluster_ = 1, int kResident_ = 1,
          int kChunkTokens_ = 32>
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
  static constexpr int kChunk = kTokens < kChunkTokens_ ? kTokens : kChunkTokens_;
  static constexpr int kStagingBytes = kChunk * (kSlabs * 128 + 16);
  static constexpr int kTileSlots = 16;
  static_assert(kTileSlots > kStages, "the copying warps are at most kStages tiles ahead");
  static constexpr int kBarrierBytes = 2 * kStages * 8;
  static constexpr int kSharedBytes =
      1024 + kStageBytes * kStages + kStagingBytes * kGroups + kBarrierBytes + (kMostFfnExperts + 1) * 4;
  static_assert(kSharedBytes <= 233472 / kResident - 1024 - 512,
                "a multiprocessor of Hopper has 228 KiB of shared memory");
  // Registers: what the compiler may use at entry is 65536 / (threads * resident) for every thread alike. Where the
  // accumulators need more, copying warps give theirs up.
  static constexpr bool kMoveRegisters = kGroups == 2 || (kResident == 2 && kSlabs * kTokens >= 192);
  static constexpr int kCopyRegisters = 40;
  static constexpr int kMultiplyRegisters = kGroups == 2 ? 232 : 208;
  static_assert(kResident == 1 || kGroups == 1, "two blocks of three warpgroups leave too few registers");
  static_assert(kCluster == 1 || kTokens >= 16 * kCluster, "each block copies whole swizzle groups");
};

namespace sm90 {

#ifdef GEM_KERNEL_CYCLES
__device__ long long cycle_log[4 * 1024];
#endif

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
  return gate * up * reciprocal;
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

/// The walk over a block's tiles: the same in every role. Product 1 is dealt round robin. Where that doesn't come out
/// even, blocks with one tile less first get as many tiles of product 2 as weigh the same; the rest is dealt in turn.
template <class T>
class Walk {
 public:
  __device__ Walk(const FfnKernelArguments& a, const int* tiles_before)
      : schedule_{a.offsets, tiles_before, a.experts},
        rank_(T::kCluster > 1 ? static_cast<int>(cluster_rank()) : 0),
        first_(static_cast<int>(blockIdx.x) / T::kCluster),
        clusters_(static_cast<int>(gridDim.x) / T::kCluster),
        weight_tiles_gate_up_(a.weight_tiles_gate_up),
        weight_tiles_down_(a.weight_tiles_down) {
    const int token_tiles = schedule_.token_tiles();
    const int total_gate_up = (a.part & 1) != 0 ? token_tiles * weight_tiles_gate_up_ : 0;
    total_down_ = (a.part & 2) != 0 ? token_tiles * weight_tiles_down_ : 0;
    const int rounds = total_gate_up / clusters_;
    const int lead = total_gate_up - rounds * clusters_;
    count_gate_up_ = rounds + (first_ < lead ? 1 : 0);
    const int catch_up = lead > 0 ? a.catch_up : 0;
    late_step_ = clusters_ - lead;
    late_first_ = first_ - lead;
    late_count_ = first_ >= lead ? catch_up : 0;
    rest_first_ = catch_up * late_step_ + (first_ >= lead ? first_ - lead : first_ - lead + clusters_);
  }

  /// Whether there is an n-th tile for this block, and of which product.
  __device__ bool has(int n, bool* down) const {
    *down = n >= count_gate_up_;
    return !*down || index(n) < total_down_;
  }

  /// The n-th tile.
  __device__ Tile tile(int n) const {
    const int weight_tiles = n < count_gate_up_ ? weight_tiles_gate_up_ : weight_tiles_down_;
    Tile tile = find_tile(schedule_, index(n), weight_tiles, T::kTokens);
    tile.weight_tile = tile.weight_tile * T::kCluster + rank_;
    return tile;
  }

  __device__ int rank() const { return rank_; }
  __device__ int token_tiles() const { return schedule_.token_tiles(); }
  /// How many times the counter of a token tile goes up before its activations are whole.
  __device__ int parts() const { return weight_tiles_gate_up_ * T::kCluster * T::kGroups; }

 private:
  __device__ int index(int n) const {
    const int m = n - count_gate_up_;
    if (m < 0) return first_ + n * clusters_;
    return m < late_count_ ? late_first_ + m * late_step_ : rest_first_ + (m - late_count_) * clusters_;
  }

  TileSchedule schedule_;
  int rank_;
  int first_;
  int clusters_;
  int weight_tiles_gate_up_;  // in units of a cluster's tiles
  int weight_tiles_down_;
  int total_down_;
  int count_gate_up_;
  int late_first_, late_step_, late_count_;
  int rest_first_;
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

template <class T>
__global__ void __launch_bounds__(T::kThreads, T::kResident)
    ffn_kernel(const __grid_constant__ CUtensorMap gate_up_map, const __grid_constant__ CUtensorMap input_map,
               const __grid_constant__ CUtensorMap down_map, const __grid_constant__ CUtensorMap activation_map,
               const FfnKernelArguments a) {
  extern __shared__ unsigned char shared_raw[];
  // In shared memory, because the multiplying warps have no registers to spare.
  __shared__ alignas(Walk<T>) unsigned char walk_memory[sizeof(Walk<T>)];
  __shared__ Tile tiles[T::kTileSlots];
  __shared__ int stored[T::kGroups];  // warps that stored their part of a tile of product 1, since the start
  const Walk<T>& walk = *reinterpret_cast<const Walk<T>*>(walk_memory);
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

  if (threadIdx.x == 0) {
    for (unsigned s = 0; s < T::kStages; ++s) {
      barrier_init(full + 8 * s, 2);                               // both copying warps
      barrier_init(empty + 8 * s, 4u * T::kGroups * T::kCluster);  // every multiplying warp of the cluster
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

  const bool coupled = a.part == 3;
  Ring<T::kStages> ring;
  bool down;

  if (warp < 4) {
    if constexpr (T::kMoveRegisters) registers_down<T::kCopyRegisters>();
    if (warp == 0 && lane == 0) {
      for (int n = 0; walk.has(n, &down); ++n) {
        const Tile tile = walk.tile(n);
        const int steps = down ? a.steps_down : a.steps_gate_up;
        for (int step = 0; step < steps; ++step) {
          const std::uint32_t barrier = full + 8u * ring.stage;
          const std::uint32_t target = stages + static_cast<std::uint32_t>(T::kStageBytes * ring.stage);
          barrier_wait(empty + 8u * ring.stage, ring.phase ^ 1u);
          // The multiplying warps see it behind the full barrier.
          if (step == 0) tiles[n % T::kTileSlots] = tile;
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
    } else if (warp == 1) {
      if (lane == 0) {
        constexpr int kShare = T::kTokens / T::kCluster;
        for (int n = 0; walk.has(n, &down); ++n) {
          const Tile tile = walk.tile(n);
          const int steps = down ? a.steps_down : a.steps_gate_up;
          const CUtensorMap* map = down ? &activation_map : &input_map;
          if (down && coupled) wait_for_activations(a.counters + 1 + tile.token_tile, walk.parts());
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
                copy_tile_2d_multicast(slab + static_cast<std::uint32_t>(walk.rank() * kShare * 128), map, barrier, k,
                                       tile.row + walk.rank() * kShare, (1u << T::kCluster) - 1u);
              else
                copy_tile_2d(slab, map, barrier, k, tile.row);
            }
            ring.advance();
          }
        }
      }
      __syncwarp();
      if (coupled) clear_counters(a.counters, walk.token_tiles(), lane);
    } else if (coupled && lane == 0 && warp < 2 + T::kGroups) {
      // Tells other blocks which activations are stored: here, because the fence takes a microsecond, and a multiplying
      // warpgroup would stand still for it.
      for (int n = 0; walk.has(n, &down) && !down; ++n) {
        const Tile tile = walk.tile(n);
        while (load_acquire_shared(&stored[warp - 2]) <= n) __nanosleep(100);
        add_release(a.counters + 1 + tile.token_tile, 1);
      }
    }
    __syncwarp();
  } else {
    if constexpr (T::kMoveRegisters) registers_up<T::kMultiplyRegisters>();
    const int group = warp / 4 - 1;
    float sums[T::kSlabs][T::kTokens / 2];
    const std::uint32_t own_staging = shared_address(staging) + static_cast<std::uint32_t>(T::kStagingBytes * group);
    const std::uint32_t weight_offset = static_cast<std::uint32_t>(group * T::kSlabs * 64 * 128);
    const auto release = [&](int stage) {
      if constexpr (T::kCluster > 1) {
        if (lane < T::kCluster) barrier_arrive_cluster(empty + 8u * stage, static_cast<unsigned>(lane));
      } else {
        if (lane == 0) barrier_arrive(empty + 8u * stage);
      }
    };
#ifdef GEM_KERNEL_CYCLES
    long long cycles_start = clock64(), cycles_loop = 0, ns_start, ns_end;
    int tiles_done = 0;
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns_start));
#endif
    for (int n = 0; walk.has(n, &down); ++n) {
#ifdef GEM_KERNEL_CYCLES
      const long long loop_start = clock64();
      ++tiles_done;
#endif
      const int steps = down ? a.steps_down : a.steps_gate_up;
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
#ifdef GEM_KERNEL_CYCLES
      cycles_loop += clock64() - loop_start;
#endif
#pragma unroll
      for (int slab = 0; slab < T::kSlabs; ++slab)
#pragma unroll
        for (int i = 0; i < T::kTokens / 2; ++i) pin(sums[slab][i]);
      const Tile tile = tiles[n % T::kTileSlots];
      if (down) {
        store_tile<T, false>(sums, own_staging, group, tile, a.output, a.hidden);
      } else {
        store_tile<T, true>(sums, own_staging, group, tile, a.activations, a.intermediate);
        if (coupled && threadIdx.x % 128 == 0) add_release_shared(&stored[group], 1);
      }
    }
#ifdef GEM_KERNEL_CYCLES
    asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(ns_end));
    if (threadIdx.x == 128) {
      cycle_log[4 * blockIdx.x] = clock64() - cycles_start;
      cycle_log[4 * blockIdx.x + 1] = cycles_loop;
      cycle_log[4 * blockIdx.x + 2] = ns_end - ns_start;
      cycle_log[4 * blockIdx.x + 3] = tiles_done;
    }
#endif
  }

  // A block must not leave while its neighbour can still write to its shared memory.
  if constexpr (T::kCluster > 1) cluster_sync();
}

}  // namespace sm90

template <class T>
FfnVariant ffn_variant(const char* name) {
  return {name,      T::kTokens,  T::kWeightRows,  T::kCluster,
          T::kDepth, T::kThreads, T::kSharedBytes, reinterpret_cast<const void*>(&sm90::ffn_kernel<T>)};
}

}  // namespace gem::kernels
