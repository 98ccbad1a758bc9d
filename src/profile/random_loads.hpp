#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// How random skewed loads of a device are drawn: rows in all, and shapes of the gamma distribution that the shares of
/// the experts come from (few busy experts to nearly even), log-uniform between their bounds.
struct LoadDistribution {
  std::size_t least_tokens = 1;
  std::size_t most_tokens = 1;
  double least_shape = 0.2;
  double most_shape = 5.0;
  std::size_t least_active = 1;  ///< experts with rows at least, where loads are to stay within what a plan measures
};

/// What a plan's tile is meant for: from an eighth of a tile an expert to half of the most that is planned.
LoadDistribution random_loads_of(const LatencyProfile& plan);

/// [slot] tokens.
std::vector<std::uint32_t> random_load(RandomStream& random, std::size_t slot_count,
                                       const LoadDistribution& distribution);

/// [slot] tokens of random experts in a random step and layer of the workload, which has at least as many experts.
std::vector<std::uint32_t> load_of_workload(RandomStream& random, const LoadTrace& workload, std::size_t slot_count);

}  // namespace gem
