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

TokenRange random_load_range(const LatencyProfile& plan) {
  const auto [fewest, most] = std::ranges::minmax(plan.points, {}, &LoadPoint::tokens);
  TokenRange range;
  range.most = std::max<std::size_t>(1, static_cast<std::size_t>(most.tokens) / 2);
  range.least = std::max(plan.experts_per_device * plan.tile_tokens / 8, static_cast<std::size_t>(fewest.tokens) / 2);
  range.least = std::clamp<std::size_t>(range.least, 1, range.most);
  return range;
}

std::vector<std::uint32_t> random_load(RandomStream& random, std::size_t slot_count, const TokenRange& range) {
  const double total = log_uniform(random, static_cast<double>(range.least), static_cast<double>(range.most));
  const double shape = log_uniform(random, 0.2, 5.0);
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

}  // namespace gem
