#include "workload/trace_size.hpp"

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

void check_trace_size(const TraceSize& size) {
  constexpr std::size_t most_tokens = std::size_t{1} << 26;
  constexpr double most_counts = 4294967296.0;
  if (size.tokens_per_step > most_tokens)
    throw UsageError(format("%zu tokens a step are more than the %zu that a trace may have; ask for fewer",
                            size.tokens_per_step, most_tokens));
  const double counts =
      static_cast<double>(size.steps) * static_cast<double>(size.layers) * static_cast<double>(size.experts);
  if (counts > most_counts)
    throw UsageError(format("a trace of %zu steps, %zu layers and %zu experts would take %s; ask for fewer steps",
                            size.steps, size.layers, size.experts, format_bytes(4.0 * counts).c_str()));
}

}  // namespace gem
