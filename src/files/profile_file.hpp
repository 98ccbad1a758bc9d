#pragma once

#include <string>

#include "files/provenance.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// Reads a `gem.profile` file and checks all that it indexes with; DataError naming file and field. Optional fields
/// that are not there get their defaults: NaN telemetry, settled points, no samples, no exchange, bf16 weights; no kind
/// of device and no shape of the expert where the file names none.
LatencyProfile read_profile(const std::string& path);

/// Writes a whole `gem.profile` file under a temporary name and renames it. SystemError if it cannot be written.
void write_profile(const std::string& path, const LatencyProfile& profile, const Provenance& provenance);

}  // namespace gem
