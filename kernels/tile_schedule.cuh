// Which tile is whose: shared by both paths of the grouped FFN.
//
// Tiles of one product are numbered expert by expert. Within an expert, groups of up to kGroup token tiles are walked
// weight tile by weight tile, token tile fastest: blocks that run at the same time share weight tiles, weights come
// from memory once for each group and the group's tokens stay in L2.
#pragma once

#include <cstdint>

#include "grouped_ffn.hpp"

namespace gem::kernels {

/// Inclusive prefix sum of `value` over the lanes.
__device__ __forceinline__ int warp_inclusive_sum(int value, int lane) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const int lower = __shfl_up_sync(0xffffffffu, value, static_cast<unsigned>(step));
    if (lane >= step) value += lower;
  }
  return value;
}

/// Token tiles before each expert, and after the last: [experts + 1] in shared memory.
struct TileSchedule {
  static constexpr int kGroup = 16;
  const std::int32_t* offsets;  // device memory
  const int* tiles_before;      // shared memory
  int experts;

  __device__ int token_tiles() const { return tiles_before[experts]; }
};

/// One tile: rows [row, row_end) of which the first tile_tokens are computed, against weight tile `weight_tile`.
struct Tile {
  int expert;
  int row;
  int row_end;
  int weight_tile;
  int token_tile;  // among the token tiles of all experts
};

/// Fills tiles_before; called by one whole warp, the caller synchronises the block.
__device__ inline void fill_tiles_before(const std::int32_t* offsets, int experts, int tile_tokens, int* tiles_before) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int total = 0;
  for (int start = 0; start < experts; start += 32) {
    const int expert = start + lane;
    int tiles = 0;
    if (expert < experts) tiles = (offsets[expert + 1] - offsets[expert] + tile_tokens - 1) / tile_tokens;
    const int inclusive = warp_inclusive_sum(tiles, lane);
    if (expert < experts) tiles_before[expert] = total + inclusive - tiles;
    total += __shfl_sync(0xffffffffu, inclusive, 31);
  }
  if (lane == 0) tiles_before[experts] = total;
}

/// The tile with number `index` of token_tiles() * weight_tiles.
__device__ inline Tile find_tile(const TileSchedule& schedule, int index, int weight_tiles, int tile_tokens) {
  // The last expert whose first tile isn't after `index`; experts without tiles share a first tile with their successor
  // and lose against it.
  int low = 0;
  int high = schedule.experts;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (schedule.tiles_before[middle] * weight_tiles <= index)
      low = middle;
    else
      high = middle;
  }
  const int first = schedule.tiles_before[low];
  const int count = schedule.tiles_before[low + 1] - first;
  const int local = index - first * weight_tiles;
  const int group = local / (TileSchedule::kGroup * weight_tiles);
  const int group_start = group * TileSchedule::kGroup;
  const int group_tiles = min(TileSchedule::kGroup, count - group_start);
  const int in_group = local - group_start * weight_tiles;
  Tile tile;
  tile.expert = low;
  tile.weight_tile = in_group / group_tiles;
  const int token_tile = group_start + in_group % group_tiles;
  tile.token_tile = first + token_tile;
  tile.row = schedule.offsets[low] + token_tile * tile_tokens;
  tile.row_end = schedule.offsets[low + 1];
  return tile;
}

}  // namespace gem::kernels
