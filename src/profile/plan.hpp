#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// What one device gets in a step and layer of a workload.
struct LoadRange {
  std::size_t least_active = 1;
  std::size_t least_tiles = 1;
  std::size_t most_tokens = 0;
  std::size_t least_tokens = 1;
  bool operator==(const LoadRange&) const = default;
};

/// The least and the most that a device with `slot_count` experts gets under random placements, drawn anew for every
/// step and layer: a placement that anybody would use stays within. Numbers of active experts that fewer than one load
/// in a hundred has are passed over. UsageError if the trace has fewer experts or no tokens.
LoadRange range_of_loads(const LoadTrace& trace, std::size_t slot_count, std::size_t tile_tokens);

/// The range that holds both.
LoadRange united(const LoadRange& a, const LoadRange& b);

/// Rows in the last tile of an active expert, the workloads' mean; half a tile without any.
std::size_t mean_last_tile_rows(std::span<const LoadTrace> workloads, std::size_t tile_tokens);

struct PlanOptions {
  std::size_t experts_per_device = 0;
  std::size_t tile_tokens = 0;
  std::size_t max_tokens = 0;           ///< most rows that one device gets in a step and layer, skew included
  std::size_t least_active = 1;         ///< experts, and
  std::size_t least_tiles = 1;          ///< tiles that a device has at least: what is below isn't measured
  std::size_t points_per_doubling = 3;  ///< of the tiles, at each number of active experts
  /// Every number of tiles up to it where half of the experts or more are active; beyond it, where all are, every
  /// second, then from twice as many on every fourth, and so on. 0: geometric steps alone.
  std::size_t dense_tiles = 0;
  /// Rows in the last tile of each active expert; 0: all. Where rows cost time of their own, the mean of real loads,
  /// half a tile, makes the surface true of them.
  std::size_t last_tile_rows = 0;
  /// Of a kernel that has this tile only for loads of so many rows and more, up to max_tokens: points have as many,
  /// where last_tile_rows would make fewer or more, too; 0: rows don't matter.
  std::size_t least_tokens = 0;
  std::vector<double> tiles_per_wave{};  ///< of each product, where the device works in waves; empty where unknown
  std::uint64_t seed = 1;                ///< shuffles the order, so that slow drift doesn't follow load
};

/// Where to measure, all at tile boundaries (tokens = tiles x tile_tokens, less what last_tile_rows leaves out of each
/// active expert's last tile), each point once, in measuring order. At
/// each of a growing series of numbers of active experts (1, 2, 3, 4, 6, 8, 12, ..., 7/8 of all, all) the tiles run
/// from one an expert to the most that max_tokens can make, in geometric steps and at both sides of the first whole
/// waves. Most loads have most experts active, and between two points on either side of a step of the staircase the
/// surface errs by half the step, which a search finds and exploits: hence dense_tiles. UsageError for a zero.
std::vector<LoadPoint> make_plan(const PlanOptions& options);

/// Every number of tokens from 1 to max_tokens, spread evenly over all experts, in shuffled order: what one measures
/// who knows of no tiles. For comparison; its surface knows no skewed loads.
std::vector<LoadPoint> make_naive_plan(const PlanOptions& options);

/// The point as a load of active_experts of slot_count slots: its tokens spread evenly, if that makes as many tiles as
/// the point has, else its tiles spread evenly and as many rows left out of each last one as the tokens say. `rotation`
/// turns which slots these are. [slot] tokens.
std::vector<std::uint32_t> tokens_per_slot_of(const LoadPoint& point, std::size_t tile_tokens, std::size_t slot_count,
                                              std::size_t rotation);

/// The point as a load of active_experts of slot_count slots that get unequal parts of its tiles and of the rows in
/// their last ones, at random: the busiest of eight has about twice the mean. [slot] tokens, as many tiles, active
/// experts and tokens as the point.
std::vector<std::uint32_t> uneven_tokens_per_slot_of(const LoadPoint& point, std::size_t tile_tokens,
                                                     std::size_t slot_count, RandomStream& random);

/// Rows that one device can get at most in a step of `tokens`: all tokens choose as many of its experts as they can.
std::size_t most_rows_of(std::size_t tokens, std::size_t top_k, std::size_t experts_per_device);

}  // namespace gem
