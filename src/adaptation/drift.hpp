#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/array.hpp"
#include "base/option.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// How several tasks follow each other.
enum class TaskOrder {
  InTurn,       ///< each for as many steps, once
  Alternating,  ///< each for a period, again and again
  Mixed         ///< from all of the first to all of the last, a little more of it with each step
};

inline std::vector<OptionWord<TaskOrder>> words_of(TaskOrder) {
  return {{"in-turn", TaskOrder::InTurn}, {"alternating", TaskOrder::Alternating}, {"mixed", TaskOrder::Mixed}};
}

/// From a step on, a device takes so many times as long as its profile says.
struct SlowdownChange {
  std::size_t step;
  std::size_t device;
  double slowdown;
};

/// Reads CSV text with a header `step,device,slowdown`, one change a line; lines that begin with '#' are comments.
/// DataError naming `origin` and the line for anything else, or a device that there isn't.
std::vector<SlowdownChange> parse_slowdown_changes(std::string_view text, const std::string& origin,
                                                   std::size_t device_count);

/// A long run in which loads and devices drift.
struct Drift {
  LoadTrace trace;                   ///< all steps
  Matrix<double> slowdown;           ///< [step, device]
  std::vector<std::size_t> changes;  ///< steps at which a task or a device's speed changes, ascending
};

/// `steps` steps of the traces, which begin anew where they end, in that order; `period` is of alternating ones.
/// UsageError unless all are of one model, with the same layers.
Drift make_drift(const std::vector<LoadTrace>& traces, TaskOrder order, std::size_t period, std::size_t steps,
                 const std::vector<SlowdownChange>& changes, std::size_t device_count);

}  // namespace gem
