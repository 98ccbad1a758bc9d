#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// Between the tasks of a trace that is of several: "mmlu+gpqa".
inline constexpr std::string_view task_separator = "+";

/// How the steps that a mapping is scored on relate to those that it was searched on: what its score is worth.
enum class Sample {
  NotSearched,      ///< the mapping was searched on no steps at all
  HeldOutRequests,  ///< requests never searched on
  LaterSteps,       ///< steps not searched on, of requests that may have been
  OtherTask,        ///< requests of another task
  InSample,         ///< requests that were searched on: no test of anything
  Unknown           ///< the mapping doesn't say what it was searched on
};

/// Of a mapping that was searched on the first `train_steps` steps of a task's part, scored on the steps of `scored`
/// from `first_step` on.
Sample sample_of(const Mapping& mapping, const LoadTrace& scored, std::size_t first_step);

/// The same of the trace itself that is searched on.
Sample sample_of(const LoadTrace& searched, const LoadTrace& scored);

/// UsageError for a resampled trace, on whose steps no mapping can be judged: they are for searching alone.
void check_judged_on(const LoadTrace& scored);

/// Whether the steps were kept aside: requests, steps or a task never searched on.
bool is_held_out(Sample sample);

/// "held-out requests", "later steps of the same requests", "another task", "in-sample", "unknown whether searched on"
/// or "not searched": what reports hold.
std::string sample_note(Sample sample);

/// The note and what it means, for people.
std::string describe_sample(Sample sample);

}  // namespace gem
