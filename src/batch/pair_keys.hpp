#pragma once

#include <string>

#include "batch/manifest.hpp"
#include "batch/pair_files.hpp"
#include "batch/pair_traces.hpp"
#include "batch/stamp.hpp"

namespace gem {

/// What each stage of a pair is made from. DataError or SystemError if an input file can't be read.
StageKey trace_key(const BatchPair& pair);
StageKey map_key(const BatchPair& pair, const std::string& profile, const PairTraces& traces);
StageKey verify_key(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                    const PairTraces& traces);

}  // namespace gem
