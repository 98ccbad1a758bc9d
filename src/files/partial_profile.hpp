#pragma once

#include <string>
#include <vector>

#include "files/provenance.hpp"
#include "model/latency_profile.hpp"
#include "platform/hdf5_output.hpp"
#include "profile/sink.hpp"

namespace gem {

// The growing file of an unfinished profile, format `gem.profile.partial`: the plan as in `gem.profile`, and tables
// `/rows/...` with one row a finished point.

/// Header, plan and empty tables, ready for rows.
void start_partial_profile(Hdf5GrowingFile& file, const LatencyProfile& plan, const Provenance& provenance);

/// Adds a row; once it returns, the row outlives a kill.
void append_partial_row(Hdf5GrowingFile& file, const ProfileRow& row);

/// The whole rows of a growing file, whose writer may have been killed at any time. DataError if the file is damaged or
/// belongs to another plan or seed.
std::vector<ProfileRow> read_partial_rows(const std::string& path, const LatencyProfile& plan, std::uint64_t seed);

}  // namespace gem
