#pragma once

#include <cstddef>

namespace gem {

/// Tokens that a step of a trace can have.
inline constexpr std::size_t most_tokens_of_step = std::size_t{1} << 26;

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
