#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "device/moe_device.hpp"

namespace gem {

/// An even load of the probe: rows of the device, spread over so many of its experts.
struct ProbeLoad {
  std::size_t active_experts = 0;
  std::size_t rows = 0;
};

/// A stretch of rows of the device in which a kernel has one tile, as the staircase of its latency shows it, and how
/// sure that is.
struct ProbedTile {
  std::size_t up_to_rows = 0;  ///< 0: all more
  std::size_t tile_tokens = 0;
  std::size_t border_from = 0, border_to = 0;  ///< between which rows the border may be; 0 in the last stretch
  std::size_t steps = 0, steps_seen = 0;       ///< where this tile has a step of the staircase, and where there is one
  std::size_t treads = 0, treads_broken = 0;   ///< where it has none, and where the latency changes all the same
};

/// What a probe found.
struct TileProbe {
  std::vector<ProbedTile> tiles;  ///< ascending by rows
  std::size_t load_count = 0;
  double noise = 0.0;  ///< relative, of a load's latency beside the staircase
};

/// The loads that a probe begins with: at up to four numbers of active experts, each with the same rows, both sides of
/// each multiple of 8 rows an expert (of 16, 32, 64 where rows are many), up to `most_rows` of the device.
std::vector<ProbeLoad> probe_loads(std::size_t experts, std::size_t most_rows);

/// Further loads, at most eight for each border and number of experts, that narrow down where the tiles change; none
/// where it can't be told more closely.
std::vector<ProbeLoad> border_loads(const TileProbe& probe, std::span<const ProbeLoad> known);

/// The likeliest tiles. Between two neighbouring loads on as many experts the latency may rise where the tile needs one
/// tile more, mostly does, and may not elsewhere, but for a cost of each row and for chance, whose size is taken from
/// loads between which no tile has a step. Tiles are multiples of 8 rows. The likeliest of all ways of cutting the rows
/// into stretches, each with a tile, where a further stretch must explain a few steps to be worth it.
TileProbe find_tiles(std::span<const ProbeLoad> loads, std::span<const double> latency_s);

/// DataError where a stretch's steps aren't seen, or as many elsewhere. The last one ends at most_rows.
void expect_seen(const TileProbe& probe, std::size_t most_rows);

/// As devices state it.
std::vector<TileStep> rule_of(const TileProbe& probe);

/// What was found and how sure it is, lines for the terminal.
std::string describe_probe(const TileProbe& probe);

JsonRecord probe_record(const TileProbe& probe);

}  // namespace gem
