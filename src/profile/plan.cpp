#include "profile/plan.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <numeric>
#include <set>
#include <span>
#include <utility>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// 1, 2, 3, 4, 6, 8, 12, 16, ..., seven eighths of the last, and the last: most loads have nearly all experts active.
// From the last one that isn't above the least.
std::vector<std::size_t> levels_between(std::size_t least, std::size_t last) {
  std::vector<std::size_t> levels;
  for (std::size_t power = 1; power < last; power *= 2)
    for (std::size_t level : {power, power + power / 2})
      if (level < last && (levels.empty() || level > levels.back())) levels.push_back(level);
  if (const std::size_t nearly = last - last / 8; !levels.empty() && nearly > levels.back() && nearly < last)
    levels.push_back(nearly);
  levels.push_back(last);
  const auto first = std::ranges::upper_bound(levels, least);
  if (first != levels.begin()) levels.erase(levels.begin(), std::prev(first));
  return levels;
}

// Whole waves whose two sides are measured: later steps are small against the latency.
constexpr int measured_waves = 4;

// 1 below every_tile_up_to, 2 up to twice as many tiles, 4 up to four times as many, ...
std::size_t dense_step(std::size_t tiles, std::size_t every_tile_up_to) {
  return tiles < every_tile_up_to ? 1 : 2 * std::bit_floor(tiles / every_tile_up_to);
}

std::set<std::size_t> tiles_at(const PlanOptions& options, std::size_t active_experts) {
  const std::size_t least =
      std::max(active_experts, (options.least_tokens + options.tile_tokens - 1) / options.tile_tokens);
  // Every active expert may have a tile with a single row in it.
  const std::size_t most = (options.max_tokens + active_experts * (options.tile_tokens - 1)) / options.tile_tokens;
  std::set<std::size_t> tiles{least, most};
  for (std::size_t step = 1;; ++step) {
    const double growth = std::exp2(static_cast<double>(step) / static_cast<double>(options.points_per_doubling));
    const auto next = static_cast<std::size_t>(std::llround(static_cast<double>(least) * growth));
    if (next >= most) break;
    tiles.insert(next);
  }
  if (options.dense_tiles > 0 && 2 * active_experts >= options.experts_per_device) {
    const std::size_t end =
        active_experts == options.experts_per_device ? most : std::min(most, options.dense_tiles + 1);
    for (std::size_t dense = least; dense < end; dense += dense_step(dense, options.dense_tiles)) tiles.insert(dense);
  }
  for (double wave : options.tiles_per_wave)
    for (int count = 1; count <= measured_waves; ++count) {
      const auto full = static_cast<std::size_t>(std::max(0.0, wave * count));
      for (std::size_t side : {full, full + 1})
        if (side > least && side < most) tiles.insert(side);
    }
  // Of those below the least, the last one stays, so that nothing is extrapolated.
  auto first = tiles.upper_bound(options.least_tiles);
  if (first != tiles.begin()) tiles.erase(tiles.begin(), std::prev(first));
  return tiles;
}

// Part number i of `total` in `parts` as even as whole numbers allow, the larger ones first.
std::size_t even_part(std::size_t total, std::size_t parts, std::size_t i) {
  return total / parts + (i < total % parts ? 1 : 0);
}

// `total` in unequal parts of at most `most` each, which must be enough: shares of a gamma distribution, whole numbers
// of them, and what is left over one by one to parts that have room.
std::vector<std::size_t> uneven_parts(std::size_t total, std::size_t parts, std::size_t most, RandomStream& random) {
  constexpr double shape = 2.0;
  std::vector<double> shares(parts);
  for (double& share : shares) share = random.gamma(shape);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<std::size_t> sizes;
  for (const double share : shares)
    sizes.push_back(std::min(most, static_cast<std::size_t>(static_cast<double>(total) * share / sum)));
  std::size_t left = total - std::accumulate(sizes.begin(), sizes.end(), std::size_t{0});
  for (std::size_t i = random.below(parts); left > 0; i = (i + 1) % parts) {
    const std::size_t more = std::min({left, most - sizes[i], std::max<std::size_t>(1, left / parts)});
    sizes[i] += more;
    left -= more;
  }
  return sizes;
}

std::size_t even_tiles(std::size_t tokens, std::size_t active, std::size_t tile_tokens) {
  std::size_t tiles = 0;
  for (std::size_t i = 0; i < active; ++i) tiles += (even_part(tokens, active, i) + tile_tokens - 1) / tile_tokens;
  return tiles;
}

void check_plan_options(const PlanOptions& options) {
  if (options.experts_per_device == 0 || options.tile_tokens == 0 || options.max_tokens == 0 ||
      options.points_per_doubling == 0)
    throw UsageError("a plan needs at least one expert a device, one token a tile, one token and one point a doubling");
}

// Rows of a point of so many tiles; 0 where no rows that the plan allows make them.
std::size_t rows_of(const PlanOptions& options, std::size_t tiles, std::size_t active_experts) {
  const std::size_t left_out = options.last_tile_rows > 0 ? options.tile_tokens - options.last_tile_rows : 0;
  const std::size_t rows = tiles * options.tile_tokens - active_experts * left_out;
  if (options.least_tokens == 0) return rows;
  const std::size_t fewest =
      std::max(options.least_tokens, (tiles - active_experts) * options.tile_tokens + active_experts);
  const std::size_t most = std::min(options.max_tokens, tiles * options.tile_tokens);
  return fewest > most ? 0 : std::clamp(rows, fewest, most);
}

std::vector<LoadPoint> shuffled(std::vector<LoadPoint> points, std::uint64_t seed) {
  RandomStream random({seed, 0x91a4u});
  random.shuffle(std::span<LoadPoint>(points));
  return points;
}

}  // namespace

LoadRange range_of_loads(const LoadTrace& trace, std::size_t slot_count, std::size_t tile_tokens) {
  if (trace.expert_count() < slot_count)
    throw UsageError(fmt::format("the trace of {} has {} experts, fewer than the {} of a device; it is another model's",
                                 trace.model, trace.expert_count(), slot_count));
  constexpr std::size_t placements = 8, rare = 100;
  LoadRange range{slot_count, SIZE_MAX, 0, SIZE_MAX};
  std::vector<std::size_t> loads_with(slot_count + 1, 0);  // [active experts]
  RandomStream random({0x10adu});
  std::vector<std::size_t> experts(trace.expert_count());
  std::iota(experts.begin(), experts.end(), std::size_t{0});
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t placement = 0; placement < placements; ++placement) {
        random.shuffle(std::span(experts));
        std::size_t tiles = 0, active = 0, tokens = 0;
        for (const std::size_t expert : std::span(experts).first(slot_count)) {
          const std::uint32_t count = trace.counts(step, layer, expert);
          tiles += tiles_of(count, static_cast<std::uint32_t>(tile_tokens));
          active += count > 0;
          tokens += count;
        }
        if (tokens == 0) continue;
        ++loads_with[active];
        range.least_tiles = std::min(range.least_tiles, tiles);
        range.most_tokens = std::max(range.most_tokens, tokens);
        range.least_tokens = std::min(range.least_tokens, tokens);
      }
  if (range.most_tokens == 0)
    throw UsageError(fmt::format("the trace of task '{}' has no tokens to measure for", trace.task));
  const std::size_t loads = std::accumulate(loads_with.begin(), loads_with.end(), std::size_t{0});
  std::size_t below = 0;
  for (range.least_active = 1; (below += loads_with[range.least_active]) * rare < loads;) ++range.least_active;
  return range;
}

LoadRange united(const LoadRange& a, const LoadRange& b) {
  return {std::min(a.least_active, b.least_active), std::min(a.least_tiles, b.least_tiles),
          std::max(a.most_tokens, b.most_tokens), std::min(a.least_tokens, b.least_tokens)};
}

std::size_t mean_last_tile_rows(std::span<const LoadTrace> workloads, std::size_t tile_tokens) {
  double rows = 0.0, active_experts = 0.0;
  for (const LoadTrace& workload : workloads)
    for (const std::uint32_t count : workload.counts.values()) {
      if (count == 0) continue;
      rows += static_cast<double>((count - 1) % tile_tokens + 1);
      active_experts += 1.0;
    }
  return active_experts > 0.0 ? static_cast<std::size_t>(std::llround(rows / active_experts)) : (tile_tokens + 1) / 2;
}

std::vector<LoadPoint> make_plan(const PlanOptions& options) {
  check_plan_options(options);
  std::vector<LoadPoint> points;
  for (std::size_t level :
       levels_between(options.least_active, std::min(options.experts_per_device, options.max_tokens)))
    for (std::size_t tiles : tiles_at(options, level))
      if (const std::size_t rows = rows_of(options, tiles, level); rows > 0)
        points.push_back(
            {static_cast<std::int64_t>(tiles), static_cast<std::int64_t>(level), static_cast<std::int64_t>(rows)});
  return shuffled(std::move(points), options.seed);
}

std::vector<LoadPoint> make_naive_plan(const PlanOptions& options) {
  check_plan_options(options);
  std::vector<LoadPoint> points;
  for (std::size_t tokens = 1; tokens <= options.max_tokens; ++tokens) {
    const std::size_t active = std::min(tokens, options.experts_per_device);
    points.push_back({static_cast<std::int64_t>(even_tiles(tokens, active, options.tile_tokens)),
                      static_cast<std::int64_t>(active), static_cast<std::int64_t>(tokens)});
  }
  return shuffled(std::move(points), options.seed);
}

std::vector<std::uint32_t> tokens_per_slot_of(const LoadPoint& point, std::size_t tile_tokens, std::size_t slot_count,
                                              std::size_t rotation) {
  const auto active = static_cast<std::size_t>(point.active_experts),
             token_count = static_cast<std::size_t>(point.tokens);
  const auto tiles = static_cast<std::size_t>(point.tiles);
  const bool evenly = even_tiles(token_count, active, tile_tokens) == tiles;
  const std::size_t left_out = tiles * tile_tokens - token_count;
  std::vector<std::uint32_t> tokens(slot_count, 0);
  for (std::size_t i = 0; i < active; ++i)
    tokens[(rotation + i) % slot_count] =
        static_cast<std::uint32_t>(evenly ? even_part(token_count, active, i)
                                          : even_part(tiles, active, i) * tile_tokens - even_part(left_out, active, i));
  return tokens;
}

std::vector<std::uint32_t> uneven_tokens_per_slot_of(const LoadPoint& point, std::size_t tile_tokens,
                                                     std::size_t slot_count, RandomStream& random) {
  const auto active = static_cast<std::size_t>(point.active_experts);
  const std::size_t further_tiles = static_cast<std::size_t>(point.tiles) - active;
  const std::vector<std::size_t> tiles = uneven_parts(further_tiles, active, further_tiles, random);
  const std::size_t last_rows = static_cast<std::size_t>(point.tokens) - further_tiles * tile_tokens;
  const std::vector<std::size_t> rows = uneven_parts(last_rows - active, active, tile_tokens - 1, random);
  std::vector<std::size_t> slots(slot_count);
  std::iota(slots.begin(), slots.end(), std::size_t{0});
  random.shuffle(std::span(slots));
  std::vector<std::uint32_t> tokens(slot_count, 0);
  for (std::size_t i = 0; i < active; ++i)
    tokens[slots[i]] = static_cast<std::uint32_t>(tiles[i] * tile_tokens + rows[i] + 1);
  return tokens;
}

std::size_t most_rows_of(std::size_t tokens, std::size_t top_k, std::size_t experts_per_device) {
  return tokens * std::min(top_k, experts_per_device);
}

}  // namespace gem
