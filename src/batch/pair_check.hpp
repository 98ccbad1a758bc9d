#pragma once

#include <string>

#include "batch/manifest.hpp"
#include "batch/pair_files.hpp"
#include "batch/pair_traces.hpp"

namespace gem {

/// The profile that the pair was made with; empty if there is none.
std::string profile_in_use(const PairFiles& files, const std::string& output);

/// Whether the mappings, and the replay if there is to be one, were made from this profile and these traces, and lie
/// there as they were made. DataError or SystemError if an input file can't be read.
bool results_are_fresh(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                       const PairTraces& traces);

/// The profile that the pair was made with, if it is measured as its keys want it, on whatever devices; else empty.
std::string profile_at_hand(const Manifest& manifest, const BatchPair& pair, const PairTraces& traces);

/// Whether nothing is left to do of the pair, as far as one process knows without its devices: they are taken to be
/// such as its profile names, as many as the manifest's ranks, if these are known.
bool is_whole(const Manifest& manifest, const BatchPair& pair);

}  // namespace gem
