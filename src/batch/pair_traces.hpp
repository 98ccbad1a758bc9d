#pragma once

#include <cstddef>
#include <functional>
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

/// The most steps that are drawn anew for the search: as many as it would fill up to.
std::size_t most_drawn_steps(const BatchPair& pair);

/// Which files they are in. DataError or SystemError if a trace that was given can't be read.
PairTraces traces_of(const BatchPair& pair, const PairFiles& files);

/// Makes the pair's traces unless they are there as they should be; `on_missing` hears if not. True if any was made.
/// Other runs may make those of a shared profile's pairs at the same time. On one rank. Throws like what reads and
/// batches routing.
bool make_traces(const BatchPair& pair, const PairFiles& files, const std::string& command_line,
                 const std::function<void()>& on_missing);

/// How large the steps of a pair are.
struct StepSize {
  std::size_t most_tokens = 0;     ///< of a step
  double tokens_per_expert = 0.0;  ///< mean over steps, layers and experts
};

/// Of the pair's traces, which must be there. DataError or SystemError if one can't be read.
StepSize step_size_of(const BatchPair& pair, const PairTraces& traces);

}  // namespace gem
