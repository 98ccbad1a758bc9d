#include "profile/random_loads.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gem {
namespace {

double log_uniform(RandomStream& random, double low, double high) {
  return low * std::pow(high / low, random.uniform());
}

}  // namespace

LoadDistribution random_loads_of(const LatencyProfile& plan) {
  const auto [fewest, most] =
      std::ranges::minmax(plan.regimes.empty() ? plan.points : plan.regime_points, {}, &LoadPoint::tokens);
  LoadDistribution loads;
  loads.most_tokens = std::max<std::size_t>(1, static_cast<std::size_t>(most.tokens) / 2);
  const std::size_t tile = plan.regimes.empty() ? plan.tile_tokens : plan.regimes.front().tile_tokens;
  const std::size_t eighths = plan.experts_per_device * tile / 8;
  loads.least_tokens =
      std::clamp<std::size_t>(std::max(eighths, static_cast<std::size_t>(fewest.tokens) / 2), 1, loads.most_tokens);
  return loads;
}

std::vector<std::uint32_t> random_load(RandomStream& random, std::size_t slot_count,
                                       const LoadDistribution& distribution) {
  const double total = log_uniform(random, static_cast<double>(distribution.least_tokens),
                                   static_cast<double>(distribution.most_tokens));
  const double shape = log_uniform(random, distribution.least_shape, distribution.most_shape);
  std::vector<double> shares(slot_count);
  for (double& share : shares) share = random.gamma(shape);
  const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
  std::vector<std::uint32_t> tokens;
  for (const double share : shares) tokens.push_back(static_cast<std::uint32_t>(total * share / sum));
  // The rounding's remainder goes to the busiest, so that no load is empty.
  const auto given = std::accumulate(tokens.begin(), tokens.end(), 0u);
  const auto busiest = std::max_element(shares.begin(), shares.end()) - shares.begin();
  tokens[static_cast<std::size_t>(busiest)] += static_cast<std::uint32_t>(total) - given;
  return tokens;
}

std::vector<std::uint32_t> load_of_workload(RandomStream& random, const LoadTrace& workload, std::size_t slot_count) {
  const auto row = workload.counts.row(random.below(workload.step_count()), random.below(workload.layer_count()));
  std::vector<std::uint32_t> counts(row.begin(), row.end());
  random.shuffle(std::span(counts));
  counts.resize(slot_count);
  return counts;
}

}  // namespace gem
