#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/latency_profile.hpp"

namespace gem {

/// [device] seconds that its shared experts take for so many tokens of its own: in proportion between two numbers that
/// were measured, below them as at the fewest, above them on along the last line. 0 of all where none were measured.
std::vector<double> shared_times_s(const LatencyProfile& profile, double tokens);

/// What the fastest and the slowest device's take, by tokens of a device; empty where none were measured.
std::string shared_time_table(const LatencyProfile& profile);

}  // namespace gem
