#pragma once

#include <cstddef>

namespace gem {

/// What a trace to be made would hold.
struct TraceSize {
  std::size_t steps;
  std::size_t layers;
  std::size_t experts;
  std::size_t tokens_per_step;
};

/// UsageError for a trace that could not be held: more than 2^32 counts (16 GiB), or more than 2^26 tokens a step.
void check_trace_size(const TraceSize& size);

}  // namespace gem
