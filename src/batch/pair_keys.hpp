#pragma once

#include <string>

#include "batch/manifest.hpp"
#include "batch/pair_files.hpp"
#include "batch/stamp.hpp"

namespace gem {

/// The steps that a pair is searched and scored on.
struct PairTraces {
  std::string train;
  std::string test;             ///< empty: the later steps of `train`
  std::size_t train_steps = 0;  ///< 0: all
  const std::string& scored() const { return test.empty() ? train : test; }
};

/// What each stage of a pair is made from. DataError or SystemError if an input file can't be read.
StageKey trace_key(const BatchPair& pair);
StageKey map_key(const BatchPair& pair, const std::string& profile, const PairTraces& traces);
StageKey verify_key(const BatchPair& pair, const PairFiles& files, const std::string& profile,
                    const PairTraces& traces);

}  // namespace gem
