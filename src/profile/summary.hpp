#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "model/device_summary.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// The table of devices that gem-profile ends with, and lines on the spread and, if measured, on the exchange, and
/// what makes the profile doubtful. Above
/// `most_rows` devices only the fastest and the slowest are listed.
std::string device_table(const LatencyProfile& profile, std::size_t most_rows = 32);

/// Of a kernel that changes its tile with the load: each tile's rows and points, with medians where they were measured.
std::vector<JsonRecord> regime_records(const LatencyProfile& profile);

/// The same figures of all devices, with what was measured.
JsonRecord profile_record(const LatencyProfile& profile);

}  // namespace gem
