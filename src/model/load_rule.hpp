#pragma once

#include <algorithm>
#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// What an expert adds to a device's latency beside its tiles and its being active, still additive over experts. The
/// surface is measured with tiles spread evenly over experts whose last tiles are filled alike; real loads differ.
/// - A kernel works through its experts one after another and reads an expert's weights while it computes that expert's
///   first `bend_tiles` tiles; further tiles hide nobody else's reading, so each costs `surplus_tile_s`.
/// - Tiles are computed whole, but rows that aren't there aren't read or written: each row of a last tile beyond
///   `last_tile_rows` costs `row_s`, each one less saves it.
struct LoadRule {
  std::uint32_t tile_tokens = 1;
  std::uint32_t bend_tiles = 0;
  std::uint32_t last_tile_rows = 0;
  double surplus_tile_s = 0.0;  ///< 0 or more
  double row_s = 0.0;           ///< 0 or more
  bool operator==(const LoadRule&) const = default;

  /// Whether tiles and active experts are all there is.
  bool is_plain() const { return surplus_tile_s == 0.0 && row_s == 0.0; }

  /// Seconds of one expert.
  double extra_s(std::uint32_t tokens) const { return surplus_s(tokens) + rows_s(tokens); }
  /// The part of its tiles beyond the bend, 0 or more.
  double surplus_s(std::uint32_t tokens) const {
    const std::uint32_t tiles = tiles_of(tokens, tile_tokens);
    return tiles > bend_tiles ? surplus_tile_s * (tiles - bend_tiles) : 0.0;
  }
  /// The part of the rows of its last tile.
  double rows_s(std::uint32_t tokens) const {
    if (tokens == 0) return 0.0;
    return row_s * (static_cast<double>((tokens - 1) % tile_tokens + 1) - last_tile_rows);
  }
  /// What of it evenly spread tiles have, and the surface with them.
  double even_surplus_s(double tiles, double active_experts) const {
    return surplus_tile_s * std::max(0.0, tiles - bend_tiles * active_experts);
  }
};

/// What a device gets in a step and layer, additive over its experts.
struct DeviceLoad {
  std::int64_t tiles = 0;
  std::int64_t active_experts = 0;
  std::int64_t tokens = 0;
  double extra_s = 0.0;  ///< of LoadRule

  void add(const LoadRule& rule, std::uint32_t expert_tokens) {
    tiles += tiles_of(expert_tokens, rule.tile_tokens);
    active_experts += expert_tokens > 0;
    tokens += expert_tokens;
    extra_s += rule.extra_s(expert_tokens);
  }
};

}  // namespace gem
