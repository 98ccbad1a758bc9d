#pragma once

#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// How much each expert adds to a device's load, in tiles, `base` to a tile. A kernel works through its experts one
/// after another and reads an expert's weights while it computes that expert's first tiles; further tiles hide nobody
/// else's reading. So of two loads with as many tiles and active experts the one takes longer in which a few experts
/// have most tiles, and an expert's tiles count `base` each, those beyond the first `bend_tiles` `surplus` more: still
/// additive over experts. A base of 1 and a surplus of 0 count plain tiles.
struct WorkRule {
  std::uint32_t tile_tokens = 1;
  std::uint32_t bend_tiles = 0;
  std::uint32_t surplus = 0;
  std::uint32_t base = 1;  ///< 1 or more
  bool operator==(const WorkRule&) const = default;

  std::int64_t of_tiles(std::int64_t tiles) const {
    return base * tiles + (tiles > bend_tiles ? surplus * (tiles - bend_tiles) : 0);
  }
  std::int64_t of_tokens(std::uint32_t tokens) const { return of_tiles(tiles_of(tokens, tile_tokens)); }
  /// Tiles of the load with as much work, spread evenly over so many experts: w = base t + surplus max(0, t - bend a)
  /// turned round.
  double even_tiles(double work, double active_experts) const {
    const double hidden = bend_tiles * active_experts;
    return work <= base * hidden ? work / base : (work + surplus * hidden) / (base + surplus);
  }
};

}  // namespace gem
