#pragma once

#include "platform/mpi/mpi.hpp"

namespace gem {

/// Who may use a device during a timed region: all ranks at once, or the ranks of a host one after the other, because
/// they share one GPU and would disturb each other. Collective.
class Turns {
 public:
  /// `one_at_a_time` false lets all run at once, without any communication.
  Turns(const Communicator& communicator, bool one_at_a_time);

  bool one_at_a_time() const { return one_at_a_time_; }

  /// Calls `work` when it is this rank's turn; returns when every rank has had its turn (at once if not one at a time).
  template <class Work>
  void run(Work&& work) const {
    for (int turn = 0; turn < turn_count_; ++turn) {
      if (turn == my_turn_ || !one_at_a_time_) work();
      if (one_at_a_time_) communicator_.barrier();
    }
  }

 private:
  Communicator communicator_;
  bool one_at_a_time_;
  int my_turn_ = 0;     // number among the ranks of this host
  int turn_count_ = 1;  // most ranks that any host has
};

}  // namespace gem
