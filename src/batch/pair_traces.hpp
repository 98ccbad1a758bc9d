#pragma once

#include <cstddef>
#include <string>

#include "batch/manifest.hpp"
#include "batch/pair_files.hpp"

namespace gem {

/// The steps that a pair is searched and scored on.
struct PairTraces {
  std::string train;
  std::string test;             ///< empty: the later steps of `train`
  std::size_t train_steps = 0;  ///< 0: all
  const std::string& scored() const { return test.empty() ? train : test; }
};

/// Which files they are in. DataError or SystemError if a trace that was given can't be read.
PairTraces traces_of(const BatchPair& pair, const PairFiles& files);

/// How large the steps of a pair are.
struct StepSize {
  std::size_t most_tokens = 0;     ///< of a step
  double tokens_per_expert = 0.0;  ///< mean over steps, layers and experts
};

/// Of the pair's traces, which must be there. DataError or SystemError if one can't be read.
StepSize step_size_of(const BatchPair& pair, const PairTraces& traces);

}  // namespace gem
