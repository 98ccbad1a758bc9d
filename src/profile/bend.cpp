#include "profile/bend.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.hpp"
#include "model/latency_surface.hpp"
#include "profile/random_loads.hpp"

namespace gem {
namespace {

// Root mean square of log(predicted / measured) over devices and loads.
double error_with(const WorkRule& rule, LatencyProfile profile, std::span<const std::vector<std::uint32_t>> loads,
                  const Matrix<double>& measured_s) {
  profile.bend_tiles = rule.bend_tiles;
  profile.bend_surplus = rule.surplus;
  profile.bend_base = rule.base;
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

std::vector<std::vector<std::uint32_t>> serving_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                      std::size_t count, std::uint64_t seed) {
  const std::size_t slots = plan.experts_per_device;
  std::vector<std::vector<std::uint32_t>> loads;
  if (slots < 2) return loads;
  RandomStream random({seed, 0xbe4du});
  if (!workloads.empty()) {
    while (loads.size() < count)
      loads.push_back(load_of_workload(random, workloads[random.below(workloads.size())], slots));
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

WorkRule choose_work_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                          const Matrix<double>& measured_s) {
  const auto tile_tokens = static_cast<std::uint32_t>(profile.tile_tokens);
  WorkRule best{tile_tokens, 0, 0};
  if (loads.empty()) return best;
  constexpr std::pair<std::uint32_t, std::uint32_t> weights[] = {{4, 1}, {2, 1}, {1, 1}, {1, 2},
                                                                 {1, 4}, {1, 8}, {1, 16}};
  // A tenth of plain tiles' error, or half a percent, is no reason.
  const double plain = error_with(best, profile, loads, measured_s);
  double least = std::min(0.9 * plain, plain - 0.005);
  for (const std::uint32_t bend_tiles : {1u, 2u, 3u, 4u})
    for (const auto& [base, surplus] : weights) {
      const WorkRule rule{tile_tokens, bend_tiles, surplus, base};
      const double error = error_with(rule, profile, loads, measured_s);
      if (error >= least) continue;
      least = error;
      best = rule;
    }
  return best;
}

}  // namespace gem
