#pragma once

#include <cstdint>
#include <string>

#include "files/provenance.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// Reads a `gem.profile` file and checks all that it indexes with; DataError naming file and field, also for a profile
/// that is unfinished. Optional fields that are not there get their defaults: NaN telemetry, settled points, no
/// samples, no exchange, bf16 weights; no kind of device and no shape of the expert where the file names none.
LatencyProfile read_profile(const std::string& path);

/// Reads what a run of this plan and seed has measured so far; DataError if the file is of another plan or seed.
LatencyProfile read_unfinished_profile(const std::string& path, const LatencyProfile& plan, std::uint64_t seed);

/// Writes a `gem.profile` file, finished or not, under a temporary name and renames it. SystemError if it cannot be
/// written.
void write_profile(const std::string& path, const LatencyProfile& profile, const Provenance& provenance);

}  // namespace gem
