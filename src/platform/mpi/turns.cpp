#include "platform/mpi/turns.hpp"

namespace gem {

Turns::Turns(const Communicator& communicator, bool one_at_a_time)
    : communicator_(communicator), one_at_a_time_(one_at_a_time) {
  if (!one_at_a_time_) return;
  my_turn_ = communicator.node_rank();
  turn_count_ = communicator.max(my_turn_) + 1;
}

}  // namespace gem
