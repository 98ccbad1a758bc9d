#include "profile/bend.hpp"

#include <algorithm>
#include <cmath>

#include "base/random.hpp"
#include "model/latency_surface.hpp"

namespace gem {
namespace {

// Root mean square of log(predicted / measured) over devices and loads.
double error_with(const WorkRule& rule, LatencyProfile profile, std::span<const std::vector<std::uint32_t>> loads,
                  const Matrix<double>& measured_s) {
  profile.bend_tiles = rule.bend_tiles;
  profile.bend_surplus = rule.surplus;
  const std::vector<LatencySurface> surfaces = surfaces_of(profile);
  double sum = 0.0;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    std::int64_t work = 0, active_experts = 0;
    for (const std::uint32_t tokens : loads[i]) {
      work += rule.of_tokens(tokens);
      active_experts += tokens > 0;
    }
    for (std::size_t d = 0; d < surfaces.size(); ++d) {
      const double error = std::log(
          surfaces[d].seconds(static_cast<double>(work), static_cast<double>(active_experts)) / measured_s(d, i));
      sum += error * error;
    }
  }
  return std::sqrt(sum / static_cast<double>(surfaces.size() * loads.size()));
}

}  // namespace

std::vector<std::vector<std::uint32_t>> skewed_loads(const LatencyProfile& plan, std::size_t count,
                                                     std::uint64_t seed) {
  std::vector<std::vector<std::uint32_t>> loads;
  const std::size_t slots = plan.experts_per_device;
  if (slots < 2) return loads;
  std::size_t most_tiles = 0;
  for (const LoadPoint& point : plan.points) most_tiles = std::max(most_tiles, static_cast<std::size_t>(point.tiles));
  RandomStream random({seed, 0xbe4du});
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t active = 2 + random.below(slots - 1);
    // One tile each; what is left, log-uniform up to half of what the plan reaches, goes to few of them.
    const double room = std::max(2.0, static_cast<double>(most_tiles) / 2.0 - static_cast<double>(active));
    const auto left = static_cast<std::size_t>(std::pow(room, random.uniform()));
    std::vector<double> shares(active);
    for (double& share : shares) share = random.gamma(0.3);
    std::vector<std::uint32_t> tokens(slots, 0);
    double sum = 0.0;
    for (const double share : shares) sum += share;
    for (std::size_t e = 0; e < active; ++e) {
      const double extra = std::round(static_cast<double>(left) * shares[e] / sum);
      const auto rows = (1 + static_cast<std::size_t>(extra)) * plan.tile_tokens - random.below(plan.tile_tokens);
      tokens[(i + e) % slots] = static_cast<std::uint32_t>(rows);
    }
    loads.push_back(std::move(tokens));
  }
  return loads;
}

WorkRule choose_work_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                          const Matrix<double>& measured_s) {
  const auto tile_tokens = static_cast<std::uint32_t>(profile.tile_tokens);
  WorkRule best{tile_tokens, 0, 0};
  if (loads.empty()) return best;
  // A tenth of plain tiles' error, or half a percent, is no reason.
  const double plain = error_with(best, profile, loads, measured_s);
  double least = std::min(0.9 * plain, plain - 0.005);
  for (const std::uint32_t bend_tiles : {1u, 2u, 3u, 4u, 6u, 8u})
    for (const std::uint32_t surplus : {1u, 2u, 4u, 8u, 16u}) {
      const WorkRule rule{tile_tokens, bend_tiles, surplus};
      const double error = error_with(rule, profile, loads, measured_s);
      if (error >= least) continue;
      least = error;
      best = rule;
    }
  return best;
}

}  // namespace gem
