#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "files/provenance.hpp"
#include "model/latency_profile.hpp"
#include "platform/file_system/record_file.hpp"
#include "profile/sink.hpp"

namespace gem {

// The file of an unfinished profile, which grows row by row: a `gem.profile.partial` HDF5 file with the plan as in
// `gem.profile`, then one record a finished point, each an HDF5 image of its own.

/// An empty file for the rows of a plan.
std::unique_ptr<RecordFile> start_partial_profile(const std::string& path, const LatencyProfile& plan,
                                                  const Provenance& provenance);

/// Adds a row; once it returns, the row outlives a kill.
void append_partial_row(RecordFile& file, const ProfileRow& row);

/// The whole rows of such a file, whose writer may have been killed at any time. DataError if it is damaged or belongs
/// to another plan or seed.
std::vector<ProfileRow> read_partial_rows(const std::string& path, const LatencyProfile& plan, std::uint64_t seed);

}  // namespace gem
