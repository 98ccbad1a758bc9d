#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "model/load_trace.hpp"

namespace gem {

/// What an expert adds to a device's latency beside its tiles and its being active, still additive over experts. The
/// surface is measured with tiles spread evenly over experts whose last tiles are filled alike; real loads differ.
/// - A kernel works through its experts one after another and reads an expert's weights while it computes that expert's
///   first tiles; further tiles hide nobody else's reading. So tiles beyond a bend cost more, and beyond the next still
///   more.
/// - Tiles are computed whole, but rows that aren't there aren't read or written: each row of a last tile beyond
///   `last_tile_rows` costs `row_s`, each one less saves it.
struct LoadCosts {
  /// Each tile of an expert beyond `tiles` costs `tile_s`, 0 or more.
  struct Bend {
    std::uint32_t tiles;
    double tile_s;
    bool operator==(const Bend&) const = default;
  };
  std::uint32_t last_tile_rows = 0;
  double row_s = 0.0;  ///< 0 or more
  std::vector<Bend> bends{};
  bool operator==(const LoadCosts&) const = default;

  /// Whether tiles and active experts are all there is.
  bool is_plain() const { return bends.empty() && row_s == 0.0; }

  /// What tiles beyond the bends cost where they are spread evenly, 0 or more; surfaces have it in them.
  double even_surplus_s(double tiles, double active_experts) const {
    double seconds = 0.0;
    for (const Bend& bend : bends) seconds += bend.tile_s * std::max(0.0, tiles - bend.tiles * active_experts);
    return seconds;
  }
};

/// How experts add up to a device's load, in tiles of `tile_tokens`.
struct LoadRule {
  std::uint32_t tile_tokens = 1;
  LoadCosts costs{};
  bool operator==(const LoadRule&) const = default;

  /// Seconds that an expert adds beside its tiles and its being active.
  double added_s(std::uint32_t tokens) const {
    return costs.even_surplus_s(static_cast<double>(tiles_of(tokens, tile_tokens)), 1.0) + rows_s(tokens);
  }
  /// The part of the rows of its last tile.
  double rows_s(std::uint32_t tokens) const {
    if (tokens == 0) return 0.0;
    return costs.row_s * (static_cast<double>((tokens - 1) % tile_tokens + 1) - costs.last_tile_rows);
  }
};

/// The rules of a kernel that chooses its tile by the rows of its device; one where it doesn't.
class LoadRules {
 public:
  /// The rule of loads of up to so many rows.
  struct Regime {
    std::int64_t rows_to;
    LoadRule rule;
    bool operator==(const Regime&) const = default;
  };
  explicit LoadRules(const LoadRule& rule) : regimes_{{0, rule}} {}
  /// Ascending by rows, one at least; the last one reaches to all loads beyond.
  explicit LoadRules(std::vector<Regime> regimes) : regimes_(std::move(regimes)) {}

  std::size_t count() const { return regimes_.size(); }
  /// Of a load of so many rows.
  std::size_t regime_of(std::int64_t rows) const {
    std::size_t regime = 0;
    while (regime + 1 < regimes_.size() && rows > regimes_[regime].rows_to) ++regime;
    return regime;
  }
  const LoadRule& of(std::size_t regime) const { return regimes_[regime].rule; }
  /// Most rows of a load of the regime; of the last one, of any.
  std::int64_t rows_to(std::size_t regime) const {
    return regime + 1 < regimes_.size() ? regimes_[regime].rows_to : INT64_MAX;
  }
  bool operator==(const LoadRules&) const = default;

 private:
  std::vector<Regime> regimes_;
};

/// What a device gets in a step and layer, additive over its experts. Tiles are those of the regime that the tokens of
/// the whole load are in.
struct DeviceLoad {
  std::int64_t tiles = 0;
  std::int64_t active_experts = 0;
  std::int64_t tokens = 0;
  double added_s = 0.0;  ///< of LoadRule

  void add(const LoadRule& rule, std::uint32_t expert_tokens) {
    tiles += tiles_of(expert_tokens, rule.tile_tokens);
    active_experts += expert_tokens > 0;
    tokens += expert_tokens;
    added_s += rule.added_s(expert_tokens);
  }
};

}  // namespace gem
