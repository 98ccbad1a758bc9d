#pragma once

#include <cstddef>

#include "model/latency_profile.hpp"

namespace gem {

/// The first `count` devices of a profile; UsageError if it has fewer.
LatencyProfile first_devices(const LatencyProfile& profile, std::size_t count);

/// Every device with the mean latency of all: the comparison with equal devices.
LatencyProfile equal_devices(const LatencyProfile& profile);

}  // namespace gem
