#include "profile/tile_staircase.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numbers>
#include <set>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr std::size_t granule = 8;  // rows: tiles are multiples of it
constexpr std::size_t most_expert_rows = 1024;
constexpr double least_noise = 0.001;        // relative: medians that agree better do so by chance
constexpr double clear = 4.0;                // standard deviations that a step is higher than chance makes it
constexpr double surprise = 0.002;           // odds of a change where the tiles have no step
constexpr double stretch_price = 7.0;        // of a further stretch of rows, in units of log-likelihood
constexpr double step_density = 1.0 / 60.0;  // of a step's height in standard deviations, whatever it is

// Every tile that could be: finer steps where tiles are small.
std::vector<std::size_t> candidate_tiles() {
  std::vector<std::size_t> tiles;
  for (const std::size_t step : {8, 16, 32, 64})
    for (std::size_t tile = tiles.empty() ? step : tiles.back() + step; tile <= 8 * step; tile += step)
      tiles.push_back(tile);
  return tiles;
}

std::size_t tiles_of_load(const ProbeLoad& load, std::size_t tile_tokens) {
  const std::size_t rows = load.rows / load.active_experts, more = load.rows % load.active_experts;
  return more * ((rows + tile_tokens) / tile_tokens) +
         (load.active_experts - more) * ((rows + tile_tokens - 1) / tile_tokens);
}

// One load, and how its latency differs from that of the next smaller load on as many experts.
struct Observation {
  ProbeLoad load;
  double latency_s;
  std::size_t before = none;  // where that one stands
  double height = 0.0;        // of the step between the two, beside what rows cost, in standard deviations of chance
  static constexpr std::size_t none = SIZE_MAX;
};

std::vector<Observation> observations_of(std::span<const ProbeLoad> loads, std::span<const double> latency_s) {
  std::vector<Observation> seen;
  for (std::size_t i = 0; i < loads.size(); ++i) seen.push_back({loads[i], latency_s[i]});
  std::ranges::sort(seen, [](const Observation& a, const Observation& b) {
    return std::pair(a.load.rows, a.load.active_experts) < std::pair(b.load.rows, b.load.active_experts);
  });
  std::map<std::size_t, std::size_t> last;  // by active experts
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const auto [known, is_first] = last.try_emplace(seen[i].load.active_experts, i);
    if (!is_first) seen[i].before = known->second;
    known->second = i;
  }
  return seen;
}

double rows_between(const Observation& low, const Observation& high) {
  return static_cast<double>(high.load.rows - low.load.rows);
}

// Fills in the heights, and returns the relative noise of a load: both from the loads within a granule of rows, between
// which no tile has a step.
double measure_heights(std::vector<Observation>& seen) {
  const auto is_within_granule = [&](const Observation& one) {
    return one.before != Observation::none &&
           tiles_of_load(seen[one.before].load, granule) == tiles_of_load(one.load, granule);
  };
  std::vector<double> slopes, deviations;
  for (const Observation& one : seen)
    if (is_within_granule(one))
      slopes.push_back((one.latency_s - seen[one.before].latency_s) / rows_between(seen[one.before], one));
  const double row_s = slopes.empty() ? 0.0 : std::max(0.0, median(slopes));
  const auto grown = [&](const Observation& one) {
    const Observation& low = seen[one.before];
    return (one.latency_s - low.latency_s - row_s * rows_between(low, one)) / low.latency_s;
  };
  for (const Observation& one : seen)
    if (is_within_granule(one)) deviations.push_back(std::abs(grown(one)));
  constexpr double median_of_normal = 0.6745;  // of absolute values, in standard deviations
  const double chance =
      std::max(std::sqrt(2.0) * least_noise, deviations.empty() ? 0.0 : median(deviations) / median_of_normal);
  for (Observation& one : seen)
    if (one.before != Observation::none) one.height = grown(one) / chance;
  return chance / std::sqrt(2.0);
}

double flat_density(double height) {
  return std::exp(-0.5 * height * height) / std::sqrt(2.0 * std::numbers::pi);
}

// Minus the log-likelihood of a height: where tiles have a step, which shows with these odds, and where they have none.
double cost_of_step(double height, double odds) {
  return -std::log((height > 0.0 ? odds * step_density : 0.0) + (1.0 - odds) * flat_density(height) + 1e-300);
}
double cost_of_tread(double height) {
  return -std::log(0.5 * surprise * step_density + (1.0 - surprise) * flat_density(height));
}
// And where a border lies between the two loads: up, down or nothing.
double cost_of_border(double height) {
  return -std::log(0.25 * step_density + 0.5 * flat_density(height));
}

bool is_step_of(std::span<const Observation> seen, std::size_t at, std::size_t tile_tokens) {
  return tiles_of_load(seen[seen[at].before].load, tile_tokens) != tiles_of_load(seen[at].load, tile_tokens);
}

// Loads first .. end explained by one tile.
struct Piece {
  std::size_t first, end, tile_tokens;
};

// What a load adds to a piece's cost.
double cost_of_load(std::span<const Observation> seen, std::size_t at, const Piece& piece, double odds) {
  const Observation& one = seen[at];
  if (one.before == Observation::none) return 0.0;
  if (one.before < piece.first) return cost_of_border(one.height);
  return is_step_of(seen, at, piece.tile_tokens) ? cost_of_step(one.height, odds) : cost_of_tread(one.height);
}

double cost_of(std::span<const Observation> seen, const Piece& piece, double odds) {
  double cost = 0.0;
  for (std::size_t at = piece.first; at < piece.end; ++at) cost += cost_of_load(seen, at, piece, odds);
  return cost;
}

// Whether a piece can end before this load: all of as many rows are on one side.
bool can_cut(std::span<const Observation> seen, std::size_t at) {
  return at == 0 || at == seen.size() || seen[at - 1].load.rows < seen[at].load.rows;
}

// A way of explaining all loads; minus its log-likelihood, and a price of each piece.
struct Cut {
  std::vector<Piece> pieces;
  double cost;
};

// The likeliest cut of all loads into pieces, each with its tile: dynamic programming over where the last one begins.
Cut likeliest_cut(std::span<const Observation> seen, double odds) {
  struct Best {
    double cost = std::numeric_limits<double>::infinity();
    Piece last{};
  };
  std::vector<Best> best(seen.size() + 1);
  best[0].cost = 0.0;
  // What each load costs where the one before it belongs to the same piece, tile by tile, and where it doesn't.
  const std::vector<std::size_t> candidates = candidate_tiles();
  std::vector<std::vector<double>> within(candidates.size());
  std::vector<double> across;
  for (std::size_t at = 0; at < seen.size(); ++at) {
    for (std::size_t c = 0; c < candidates.size(); ++c)
      within[c].push_back(cost_of_load(seen, at, {0, seen.size(), candidates[c]}, odds));
    across.push_back(cost_of_load(seen, at, {seen.size(), seen.size(), granule}, odds));
  }
  for (std::size_t first = 0; first < seen.size(); ++first) {
    if (!can_cut(seen, first)) continue;
    for (std::size_t c = 0; c < candidates.size(); ++c) {
      double cost = best[first].cost + stretch_price;
      for (std::size_t end = first + 1; end <= seen.size(); ++end) {
        const std::size_t before = seen[end - 1].before;
        cost += before == Observation::none || before >= first ? within[c][end - 1] : across[end - 1];
        if (can_cut(seen, end) && cost < best[end].cost) best[end] = {cost, {first, end, candidates[c]}};
      }
    }
  }
  Cut cut{{}, best.back().cost};
  for (std::size_t end = seen.size(); end > 0; end = cut.pieces.front().first)
    cut.pieces.insert(cut.pieces.begin(), best[end].last);
  return cut;
}

// The number in the range that can be halved most often, of several the least: where people put borders.
std::size_t roundest(std::size_t from, std::size_t to) {
  std::size_t unit = 1;
  while ((to / (2 * unit)) * (2 * unit) >= from) unit *= 2;
  return (from + unit - 1) / unit * unit;
}

// Where the border between two pieces may be without becoming much less likely.
void find_border(std::span<const Observation> seen, const Piece& left, const Piece& right, double odds,
                 ProbedTile& tile) {
  const auto cost_at = [&](std::size_t at) {
    return cost_of(seen, {left.first, at, left.tile_tokens}, odds) +
           cost_of(seen, {at, right.end, right.tile_tokens}, odds);
  };
  const double bearable = cost_at(left.end) + 1.0;
  std::size_t first = left.end, last = left.end;
  for (std::size_t at = left.end - 1; at > left.first; --at) {
    if (!can_cut(seen, at)) continue;
    if (cost_at(at) > bearable) break;
    first = at;
  }
  for (std::size_t at = left.end + 1; at < right.end; ++at) {
    if (!can_cut(seen, at)) continue;
    if (cost_at(at) > bearable) break;
    last = at;
  }
  tile.border_from = seen[first - 1].load.rows;
  tile.border_to = seen[last].load.rows - 1;
  tile.up_to_rows = roundest(tile.border_from, tile.border_to);
}

// Counts where the tile has a step and where the latency has one.
void count_steps(std::span<const Observation> seen, const Piece& piece, ProbedTile& tile) {
  for (std::size_t at = piece.first; at < piece.end; ++at) {
    const Observation& one = seen[at];
    if (one.before == Observation::none || one.before < piece.first) continue;
    const bool is_step = is_step_of(seen, at, piece.tile_tokens);
    ++(is_step ? tile.steps : tile.treads);
    if (is_step && one.height > clear) ++tile.steps_seen;
    if (!is_step && std::abs(one.height) > clear) ++tile.treads_broken;
  }
}

std::vector<ProbedTile> tiles_of(std::span<const Observation> seen, const std::vector<Piece>& pieces, double odds) {
  std::vector<ProbedTile> tiles;
  for (std::size_t p = 0; p < pieces.size(); ++p) {
    ProbedTile tile;
    tile.tile_tokens = pieces[p].tile_tokens;
    if (p + 1 < pieces.size()) find_border(seen, pieces[p], pieces[p + 1], odds, tile);
    count_steps(seen, pieces[p], tile);
    tiles.push_back(tile);
  }
  return tiles;
}

// The odds that a step shows, as seen; a device that works in waves hides some.
double odds_of_steps(std::span<const ProbedTile> tiles) {
  std::size_t steps = 0, shown = 0;
  for (const ProbedTile& tile : tiles) {
    steps += tile.steps;
    shown += tile.steps_seen;
  }
  return std::clamp((static_cast<double>(shown) + 1.0) / (static_cast<double>(steps) + 2.0), 0.3, 0.98);
}

// Whether steps are hidden and which tiles there are depends on each other: begun from many and from few hidden steps,
// the likelier end counts.
std::vector<ProbedTile> likeliest_tiles(std::span<const Observation> seen) {
  std::vector<ProbedTile> likeliest;
  double least_cost = std::numeric_limits<double>::infinity();
  for (double odds : {0.6, 0.98})
    for (int round = 0; round < 3; ++round) {
      const Cut cut = likeliest_cut(seen, odds);
      const std::vector<ProbedTile> tiles = tiles_of(seen, cut.pieces, odds);
      if (cut.cost < least_cost) likeliest = tiles;
      least_cost = std::min(least_cost, cut.cost);
      odds = odds_of_steps(tiles);
    }
  return likeliest;
}

std::string rows_text(std::size_t from, std::size_t to) {
  return to == 0 ? fmt::format("{} rows of a device and more", from)
                 : fmt::format("{} to {} rows of a device", from, to);
}

// One clear step at least, and few where none should be.
bool is_seen(const ProbedTile& tile) {
  return tile.steps_seen > 0 && tile.steps_seen >= 4 * tile.treads_broken;
}

// Rows where a border may be and nobody has looked yet, at most eight.
std::vector<std::size_t> unknown_rows(const ProbedTile& tile, const std::set<std::size_t>& known) {
  std::vector<std::size_t> rows;
  for (std::size_t row = tile.border_from + 1; row <= tile.border_to; ++row)
    if (!known.contains(row)) rows.push_back(row);
  constexpr std::size_t most = 8;
  if (rows.size() <= most) return rows;
  std::vector<std::size_t> some;
  for (std::size_t i = 0; i < most; ++i) some.push_back(rows[(2 * i + 1) * rows.size() / (2 * most)]);
  return some;
}

std::set<std::size_t> expert_counts(std::span<const ProbeLoad> loads) {
  std::set<std::size_t> counts;
  for (const ProbeLoad& load : loads) counts.insert(load.active_experts);
  return counts;
}

}  // namespace

std::vector<ProbeLoad> probe_loads(std::size_t experts, std::size_t most_rows) {
  std::set<std::size_t> counts{1, std::min<std::size_t>(2, experts), experts};
  counts.insert(static_cast<std::size_t>(std::lround(std::pow(static_cast<double>(experts), 2.0 / 3.0))));
  std::vector<ProbeLoad> loads;
  for (const std::size_t active : counts) {
    const auto add = [&](std::size_t rows) {
      if (rows * active <= most_rows) loads.push_back({active, rows * active});
    };
    add(1);
    for (std::size_t side = granule, step = granule; side <= most_expert_rows; side += step) {
      add(side);
      add(side + 1);
      while (side >= 16 * step) step *= 2;
    }
  }
  return loads;
}

std::vector<ProbeLoad> border_loads(const TileProbe& probe, std::span<const ProbeLoad> known) {
  std::set<std::size_t> known_rows;
  for (const ProbeLoad& load : known) known_rows.insert(load.rows);
  std::vector<ProbeLoad> loads;
  for (const ProbedTile& tile : probe.tiles)
    for (const std::size_t rows : unknown_rows(tile, known_rows))
      for (const std::size_t active : expert_counts(known))
        if (active <= rows) loads.push_back({active, rows});
  return loads;
}

TileProbe find_tiles(std::span<const ProbeLoad> loads, std::span<const double> latency_s) {
  std::vector<Observation> seen = observations_of(loads, latency_s);
  TileProbe probe;
  probe.load_count = loads.size();
  probe.noise = measure_heights(seen);
  probe.tiles = likeliest_tiles(seen);
  return probe;
}

void expect_seen(const TileProbe& probe, std::size_t most_rows) {
  std::size_t from = 1;
  for (const ProbedTile& tile : probe.tiles) {
    if (!is_seen(tile))
      throw DataError(
          fmt::format("no staircase of tiles can be seen for {}: of the steps that tiles of {} rows would have, {} of "
                      "{} are there, "
                      "and {} of {} elsewhere (noise {:.2g} %); say the tiles with {} or {}",
                      rows_text(from, tile.up_to_rows == 0 ? most_rows : tile.up_to_rows), tile.tile_tokens,
                      tile.steps_seen, tile.steps, tile.treads_broken, tile.treads, 100.0 * probe.noise,
                      spelled("tile-rule"), spelled("tile-tokens")));
    from = tile.up_to_rows + 1;
  }
}

std::vector<TileStep> rule_of(const TileProbe& probe) {
  std::vector<TileStep> rule;
  for (const ProbedTile& tile : probe.tiles) rule.push_back({tile.up_to_rows, tile.tile_tokens});
  return rule;
}

std::string describe_probe(const TileProbe& probe) {
  std::string text = fmt::format("A probe of {} finds tiles", counted(probe.load_count, "load"));
  for (std::size_t t = 0; t < probe.tiles.size(); ++t) {
    const ProbedTile& tile = probe.tiles[t];
    text += fmt::format("{} of {}", t == 0 ? "" : ",", tile.tile_tokens);
    if (tile.up_to_rows > 0) text += fmt::format(" up to {} rows of a device", tile.up_to_rows);
    if (tile.border_from < tile.border_to)
      text += fmt::format(" (a border from {} to {} would look the same)", tile.border_from, tile.border_to);
    text += fmt::format(" ({} of {} steps seen, {} of {} elsewhere)", tile.steps_seen, tile.steps, tile.treads_broken,
                        tile.treads);
  }
  return wrap(fmt::format("{}; noise {:.2g} %", text, 100.0 * probe.noise)) + "\n";
}

JsonRecord probe_record(const TileProbe& probe) {
  std::vector<JsonRecord> tiles;
  for (const ProbedTile& tile : probe.tiles)
    tiles.push_back(JsonRecord()
                        .add("up_to_rows", tile.up_to_rows)
                        .add("tile_tokens", tile.tile_tokens)
                        .add("border_from", tile.border_from)
                        .add("border_to", tile.border_to)
                        .add("steps", tile.steps)
                        .add("steps_seen", tile.steps_seen)
                        .add("treads", tile.treads)
                        .add("treads_broken", tile.treads_broken));
  return JsonRecord().add("tiles", tiles).add("loads", probe.load_count).add("noise", probe.noise);
}

}  // namespace gem
