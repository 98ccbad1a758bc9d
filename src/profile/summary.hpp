#pragma once

#include <cstddef>
#include <string>

#include "base/json_record.hpp"
#include "model/device_summary.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// The table of devices that gem-profile ends with, and lines on the spread and, if measured, on the exchange, and
/// what makes the profile doubtful. Above
/// `most_rows` devices only the fastest and the slowest are listed.
std::string device_table(const LatencyProfile& profile, std::size_t most_rows = 32);

/// The same figures of all devices, with what was measured.
JsonRecord profile_record(const LatencyProfile& profile);

}  // namespace gem
