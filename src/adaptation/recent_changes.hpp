#pragma once

#include <cstddef>
#include <deque>

namespace gem {

/// The last changes of a placement, by which a slow drift is followed seldom enough: where 1 % of the steps or more
/// stand still for moves, these alone are the 99th percentile.
class RecentChanges {
 public:
  static constexpr std::size_t most = 9, within_steps = 1000;

  /// The placement changes before this step, which is no earlier than the last one's.
  void add(std::size_t step) {
    steps_.push_back(step);
    if (steps_.size() > most) steps_.pop_front();
  }

  /// Whether there were fewer than `most` in the last `within_steps` before this step.
  bool are_few(std::size_t step) const { return steps_.size() < most || steps_.front() + within_steps <= step; }

 private:
  std::deque<std::size_t> steps_;
};

}  // namespace gem
