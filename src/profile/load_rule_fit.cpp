#include "profile/load_rule_fit.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.hpp"
#include "model/latency_surface.hpp"
#include "profile/random_loads.hpp"

namespace gem {
namespace {

// One load on one device: seconds measured and as if it were spread evenly, and what a rule can explain the rest by.
struct Sample {
  double measured_s;
  double even_s;
  double surplus_tiles;  // beyond the bend, more than evenly spread tiles have
  double rows;           // of last tiles, more than the surface was measured with
};

std::vector<Sample> samples_of(const LatencyProfile& profile, std::uint32_t bend_tiles,
                               std::span<const std::vector<std::uint32_t>> loads, const Matrix<double>& measured_s) {
  const std::vector<LatencySurface> surfaces = surfaces_of(profile);
  LoadRule unit = profile.load_rule();
  unit.bend_tiles = bend_tiles;
  unit.surplus_tile_s = unit.row_s = 1.0;
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    DeviceLoad load;
    double surplus_tiles = 0.0, rows = 0.0;
    for (const std::uint32_t tokens : loads[i]) {
      load.add(unit, tokens);
      surplus_tiles += unit.surplus_s(tokens);
      rows += unit.rows_s(tokens);
    }
    const auto tiles = static_cast<double>(load.tiles), active_experts = static_cast<double>(load.active_experts);
    surplus_tiles -= unit.even_surplus_s(tiles, active_experts);
    for (std::size_t d = 0; d < surfaces.size(); ++d)
      samples.push_back({measured_s(d, i), surfaces[d].seconds(tiles, active_experts), surplus_tiles, rows});
  }
  return samples;
}

double error_of(const Sample& sample, const LoadRule& rule) {
  const double predicted_s = sample.even_s + rule.surplus_tile_s * sample.surplus_tiles + rule.row_s * sample.rows;
  return std::abs(predicted_s / sample.measured_s - 1.0);
}

double mean_error(const std::vector<Sample>& samples, const LoadRule& rule) {
  double sum = 0.0;
  for (const Sample& sample : samples) sum += error_of(sample, rule);
  return sum / static_cast<double>(samples.size());
}

// Least absolute relative deviations, by least squares with weights made anew a few times. A cost below zero is none.
void fit_costs(const std::vector<Sample>& samples, bool surplus, bool rows, LoadRule& rule) {
  rule.surplus_tile_s = rule.row_s = 0.0;
  for (int round = 0; round < 15; ++round) {
    double xx = 0.0, xr = 0.0, rr = 0.0, xy = 0.0, ry = 0.0;
    for (const Sample& sample : samples) {
      const double weight = 1.0 / std::max(error_of(sample, rule), 0.005);
      const double x = surplus ? sample.surplus_tiles / sample.measured_s : 0.0;
      const double r = rows ? sample.rows / sample.measured_s : 0.0;
      const double y = 1.0 - sample.even_s / sample.measured_s;
      xx += weight * x * x;
      xr += weight * x * r;
      rr += weight * r * r;
      xy += weight * x * y;
      ry += weight * r * y;
    }
    const double determinant = xx * rr - xr * xr;
    if (surplus && rows && determinant > 0.0) {
      rule.surplus_tile_s = (xy * rr - ry * xr) / determinant;
      rule.row_s = (ry * xx - xy * xr) / determinant;
    } else {
      rule.surplus_tile_s = xx > 0.0 ? xy / xx : 0.0;
      rule.row_s = rr > 0.0 ? ry / rr : 0.0;
    }
    rule.surplus_tile_s = std::max(0.0, rule.surplus_tile_s);
    rule.row_s = std::max(0.0, rule.row_s);
  }
}

}  // namespace

std::vector<std::vector<std::uint32_t>> serving_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                      std::size_t count, std::uint64_t seed) {
  const std::size_t slots = plan.experts_per_device;
  std::vector<std::vector<std::uint32_t>> loads;
  RandomStream random({seed, 0xbe4du});
  if (!workloads.empty()) {
    while (loads.size() < count) {
      std::vector<std::uint32_t> load = load_of_workload(random, workloads[random.below(workloads.size())], slots);
      if (std::ranges::any_of(load, [](std::uint32_t tokens) { return tokens > 0; })) loads.push_back(std::move(load));
    }
    return loads;
  }
  LoadDistribution distribution = random_loads_of(plan);
  distribution.least_tokens = std::min(slots * plan.tile_tokens / 2 + 1, distribution.most_tokens);
  distribution.most_tokens = std::min(4 * slots * plan.tile_tokens, distribution.most_tokens);
  distribution.least_shape = 0.5;
  distribution.most_shape = 3.0;
  while (loads.size() < count) loads.push_back(random_load(random, slots, distribution));
  return loads;
}

LoadRule choose_load_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                          const Matrix<double>& measured_s) {
  LoadRule best = profile.load_rule();
  best.bend_tiles = 0;
  best.surplus_tile_s = best.row_s = 0.0;
  if (loads.empty()) return best;
  double least = INFINITY;
  for (const std::uint32_t bend_tiles : {1u, 2u, 3u, 4u, 6u, 8u}) {
    const std::vector<Sample> samples = samples_of(profile, bend_tiles, loads, measured_s);
    // A tenth of the plain rule's error, or a thousandth of the latency, is no reason.
    if (least == INFINITY) {
      const double plain = mean_error(samples, best);
      least = std::min(0.9 * plain, plain - 0.001);
    }
    for (const auto& [surplus, rows] : {std::pair{true, true}, std::pair{true, false}, std::pair{false, true}}) {
      LoadRule rule = best;
      rule.bend_tiles = bend_tiles;
      fit_costs(samples, surplus, rows, rule);
      const double error = mean_error(samples, rule);
      if (error >= least) continue;
      least = error;
      best = rule;
    }
  }
  return best;
}

}  // namespace gem
