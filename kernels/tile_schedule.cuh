// Which tile is whose: shared by both paths of the grouped FFN.
//
// Tiles of one product are numbered expert by expert: the fullest, the emptiest, the second fullest, the second
// emptiest and so on. An expert of one or two tiles is read from memory, one of many from L2; in turn, they overlap. In
// the order of ids the time of a load depended on where its full experts are, by up to 16 % where they come last (seen
// on an H100).
//
// Within an expert, groups of up to kGroup token tiles are walked weight tile by weight tile, token tile fastest:
// blocks that run at the same time share weight tiles, weights come from memory once for each group and the group's
// tokens stay in L2.
#pragma once

#include <cstdint>

#include "grouped_ffn.hpp"

namespace gem::kernels {

/// Experts by their tiles, the fullest first; in shared memory.
struct ExpertOrder {
  int tiles_before[kMostFfnExperts + 1];   // token tiles of the experts before the n-th, and of all
  std::uint16_t experts[kMostFfnExperts];  // the n-th
  int active;                              // experts with tiles
};

/// Fills *order; called by all threads of a block, the caller synchronises it. Each thread places experts by itself, of
/// equally full ones the lower id first.
__device__ inline void order_experts(const std::int32_t* offsets, int experts, int tile_tokens, ExpertOrder* order) {
  const auto tiles_of = [tile_tokens](int row, int row_end) { return (row_end - row + tile_tokens - 1) / tile_tokens; };
  for (int expert = static_cast<int>(threadIdx.x); expert < experts; expert += static_cast<int>(blockDim.x)) {
    const int own = tiles_of(offsets[expert], offsets[expert + 1]);
    int place = 0;
    int tiles_before = 0;
    int active = 0;
    int row = offsets[0];
    for (int other = 0; other < experts; ++other) {
      const int row_end = offsets[other + 1];
      const int tiles = tiles_of(row, row_end);
      row = row_end;
      active += tiles > 0;
      if (tiles > own || (tiles == own && other < expert)) {
        ++place;
        tiles_before += tiles;
      }
    }
    order->tiles_before[place] = tiles_before;
    order->experts[place] = static_cast<std::uint16_t>(expert);
    if (place == experts - 1) {
      order->tiles_before[experts] = tiles_before + own;
      order->active = active;
    }
  }
}

/// The walk over experts with tiles: from both ends of their order in turn.
struct TileSchedule {
  static constexpr int kGroup = 16;
  const std::int32_t* offsets;  // device memory
  const ExpertOrder* order;     // shared memory
  int active;

  __device__ int token_tiles() const { return order->tiles_before[active]; }
  /// The n-th expert walked.
  __device__ int expert(int n) const { return order->experts[n % 2 == 0 ? n / 2 : active - 1 - n / 2]; }
  /// Token tiles of those before it; n up to `active`.
  __device__ int tiles_before(int n) const {
    return order->tiles_before[(n + 1) / 2] + token_tiles() - order->tiles_before[active - n / 2];
  }
};

/// One tile: rows [row, row_end) of which the first tile_tokens are computed, against weight tile `weight_tile`.
struct Tile {
  int expert;
  int row;
  int row_end;
  int weight_tile;
  int token_tile;  // among the token tiles of all experts
};

/// The tile with number `index` of token_tiles() * weight_tiles.
__device__ inline Tile find_tile(const TileSchedule& schedule, int index, int weight_tiles, int tile_tokens) {
  int low = 0;
  int high = schedule.active;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    if (schedule.tiles_before(middle) * weight_tiles <= index)
      low = middle;
    else
      high = middle;
  }
  const int first = schedule.tiles_before(low);
  const int count = schedule.tiles_before(low + 1) - first;
  const int local = index - first * weight_tiles;
  const int group = local / (TileSchedule::kGroup * weight_tiles);
  const int group_start = group * TileSchedule::kGroup;
  const int group_tiles = min(TileSchedule::kGroup, count - group_start);
  const int in_group = local - group_start * weight_tiles;
  Tile tile;
  tile.expert = schedule.expert(low);
  tile.weight_tile = in_group / group_tiles;
  const int token_tile = group_start + in_group % group_tiles;
  tile.token_tile = first + token_tile;
  tile.row = schedule.offsets[tile.expert] + token_tile * tile_tokens;
  tile.row_end = schedule.offsets[tile.expert + 1];
  return tile;
}

}  // namespace gem::kernels
