// Sizes of a Hopper variant of the grouped FFN, and the order in which a block meets its tiles.
#pragma once

#include "grouped_ffn_sm90.hpp"
#include "hopper.cuh"
#include "tile_schedule.cuh"

namespace gem::kernels {

/// Sizes of one kernel variant: tokens per tile, 64-row weight slabs per warpgroup, multiplying warpgroups, slices of
/// 128 bytes per pipeline stage, stages, blocks per cluster, blocks per multiprocessor, type of the operands.
template <int kTokens_, int kSlabs_, int kGroups_, int kSlices_, int kStages_, int kCluster_ = 1, int kResident_ = 1,
          FfnType kType_ = FfnType::bf16>
struct FfnTile {
  static constexpr FfnType kType = kType_;
  static constexpr bool kScaled = kType == FfnType::fp8;
  static constexpr int kTokens = kTokens_;
  static constexpr int kSlabs = kSlabs_;
  static constexpr int kGroups = kGroups_;
  static constexpr int kSlices = kSlices_;
  static constexpr int kStages = kStages_;
  static constexpr int kCluster = kCluster_;
  static constexpr int kResident = kResident_;
  static constexpr int kWeightRows = 64 * kSlabs * kGroups;
  static constexpr int kSliceDepth = kScaled ? 128 : 64;
  static constexpr int kDepth = kSliceDepth * kSlices;
  static constexpr int kThreads = 128 * (kGroups + 1);
  static constexpr int kWeightSliceBytes = kWeightRows * 128;
  static constexpr int kTokenSliceBytes = kTokens * 128;
  static constexpr int kStageBytes = (kWeightSliceBytes + kTokenSliceBytes) * kSlices;
  // Staging of results: kChunk tokens by the columns of one warpgroup, rows padded by 16 bytes against bank conflicts.
  static constexpr int kChunk = kTokens < 32 ? kTokens : (kTokens == 256 ? 64 : 32);
  // With tokens as rows: 128 bytes of each of a warpgroup's 64 tokens.
  static constexpr bool kTokenRows = kScaled && kTokens == 128;
  static constexpr int kTokenRowStride = 128 + 16;
  static constexpr int kStagingBytes = kTokenRows ? 64 * kTokenRowStride : kChunk * (kSlabs * 128 + 16);
  static_assert(kStageBytes % 1024 == 0 && kStagingBytes % 16 == 0, "swizzle groups, 16-byte accesses");
  static constexpr int kTileSlots = 16;
  static_assert(kTileSlots > kStages, "the copying warps are at most kStages tiles ahead");
  static constexpr int kBarrierBytes = 2 * kStages * 8;
  // fp8: a stage is as deep as a block of scales, and a tile of the first product as wide as one of activations. Each
  // stage has the tokens' scales and two of weights; quantising needs the greatest activation of each token in each
  // warp, and the factor of each token in each warpgroup. Bulk copies begin at multiples of 16 bytes in memory (four
  // scales; seen on an H100: an illegal instruction otherwise) and of 128 in shared memory.
  static constexpr int kCopiedScales = kScaled ? kTokens + kScaleAlignment : 0;
  static constexpr int kTokenScaleBytes = (kCopiedScales * 4 + 127) / 128 * 128;
  static constexpr int kWeightScaleBytes = kScaled ? 8 : 0;
  static constexpr int kMaximaBytes = kScaled && !kTokenRows ? 4 * kGroups * kTokens * 4 : 0;
  static constexpr int kFactorBytes = kScaled && !kTokenRows ? kGroups * kTokens * 4 : 0;
  static constexpr int kScaleBytes = (kTokenScaleBytes + kWeightScaleBytes) * kStages + kMaximaBytes + kFactorBytes;
  static_assert(!kScaled || (kSlices == 1 && kWeightRows == 2 * kScaleBlock && kGroups == 2 && kTokens <= 128));
  static constexpr int kSharedBytes = 1024 + kStageBytes * kStages + kScaleBytes + kStagingBytes * kGroups +
                                      kBarrierBytes + static_cast<int>(sizeof(ExpertOrder));
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
  __device__ Walk(const FfnKernelArguments& a, const ExpertOrder* order)
      : schedule_{a.offsets, order, order->active},
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

}  // namespace sm90
}  // namespace gem::kernels
