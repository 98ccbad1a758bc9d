#pragma once

#include <cstddef>
#include <vector>

#include "model/latency_profile.hpp"

namespace gem {

/// One device of a profile against the others.
struct DeviceSummary {
  double relative_speed = 1.0;  ///< 1 for the fastest; geometric mean over the loads that are heavy in compute
  double noise = 0.0;           ///< median over points of the relative median absolute deviation of the samples
  std::size_t unsettled = 0;    ///< points
  std::size_t throttled = 0;    ///< points at which the clock was held down, at the pace of serving: below its own
  double drift = 0.0;           ///< as in LatencyProfile
};

/// [device]. Heavy in compute are the points with at least half of the most tiles: there a device's speed shows,
/// and not its memory's.
std::vector<DeviceSummary> summarize(const LatencyProfile& profile);

}  // namespace gem
