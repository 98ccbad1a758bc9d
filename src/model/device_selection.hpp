#pragma once

#include <cstddef>
#include <vector>

#include "model/latency_profile.hpp"

namespace gem {

/// The first `count` devices of a profile; UsageError if it has fewer.
LatencyProfile first_devices(const LatencyProfile& profile, std::size_t count);

/// Every device with the mean latency of all: the comparison with equal devices.
LatencyProfile equal_devices(const LatencyProfile& profile);

/// Each device takes so many times as long, [device].
LatencyProfile slowed_down(const LatencyProfile& profile, const std::vector<double>& slowdowns);

}  // namespace gem
