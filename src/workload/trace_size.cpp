#include "workload/trace_size.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

void check_trace_size(const TraceSize& size) {
  constexpr double most_counts = 4294967296.0;
  if (size.tokens_per_step > most_tokens_of_step)
    throw UsageError(fmt::format("{} tokens a step are more than the {} that a trace may have; ask for fewer",
                                 size.tokens_per_step, most_tokens_of_step));
  const double counts =
      static_cast<double>(size.steps) * static_cast<double>(size.layers) * static_cast<double>(size.experts);
  if (counts > most_counts)
    throw UsageError(fmt::format("a trace of {} steps, {} layers and {} experts would take {}; ask for fewer steps",
                                 size.steps, size.layers, size.experts, format_bytes(4.0 * counts)));
}

}  // namespace gem
