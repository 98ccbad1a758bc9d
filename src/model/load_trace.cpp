#include "model/load_trace.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

LoadTrace steps_of(const LoadTrace& trace, std::size_t first, std::size_t count) {
  if (first + count > trace.step_count())
    throw UsageError(fmt::format("steps {} to {} were asked for, but the trace of task '{}' has {}", first,
                                 first + count, trace.task, trace.step_count()));
  LoadTrace part{trace.model,     trace.task,
                 trace.phase,     trace.part,
                 trace.top_k,     trace.tokens_per_step,
                 trace.layer_ids, Cube<std::uint32_t>(count, trace.layer_count(), trace.expert_count())};
  const std::size_t step_size = trace.layer_count() * trace.expert_count();
  const auto begin = trace.counts.values().begin() + static_cast<std::ptrdiff_t>(first * step_size);
  std::copy(begin, begin + static_cast<std::ptrdiff_t>(count * step_size), part.counts.values().begin());
  return part;
}

}  // namespace gem
