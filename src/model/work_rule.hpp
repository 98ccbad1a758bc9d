#pragma once

#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// How much each expert adds to a device's load, in tiles. A kernel works through its experts one after another and
/// reads an expert's weights while it computes that expert's first tiles; further tiles hide nobody else's reading.
/// So of two loads with as many tiles and active experts the one takes longer in which a few experts have most tiles,
/// and an expert's tiles beyond the first `bend_tiles` count 1 + `surplus` each: still additive over experts. A surplus
/// of 0 counts plain tiles.
struct WorkRule {
  std::uint32_t tile_tokens = 1;
  std::uint32_t bend_tiles = 0;
  std::uint32_t surplus = 0;
  bool operator==(const WorkRule&) const = default;

  std::int64_t of_tiles(std::int64_t tiles) const {
    return tiles + (tiles > bend_tiles ? surplus * (tiles - bend_tiles) : 0);
  }
  std::int64_t of_tokens(std::uint32_t tokens) const { return of_tiles(tiles_of(tokens, tile_tokens)); }
  /// Tiles of the load with as much work, spread evenly over so many experts: w = t + surplus max(0, t - bend a) turned
  /// round.
  double even_tiles(double work, double active_experts) const {
    const double hidden = bend_tiles * active_experts;
    return work <= hidden ? work : (work + surplus * hidden) / (1.0 + surplus);
  }
};

}  // namespace gem
