#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/random.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// Bounds of a device's rows in a step.
struct TokenRange {
  std::size_t least = 1;
  std::size_t most = 1;
};

/// What a plan's tile is meant for: from an eighth of a tile an expert to half of the most that is planned.
TokenRange random_load_range(const LatencyProfile& plan);

/// A skewed load, [slot] tokens: in all log-uniform in the range, shares of the experts gamma-distributed with a shape
/// log-uniform from 0.2 (few busy experts) to 5 (nearly even).
std::vector<std::uint32_t> random_load(RandomStream& random, std::size_t slot_count, const TokenRange& range);

}  // namespace gem
