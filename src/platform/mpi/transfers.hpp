#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "platform/mpi/mpi.hpp"

namespace gem {

/// Bytes on their way between ranks while these go on with other work. What a rank sends to another arrives in the
/// order in which that one receives from it.
class Transfers {
 public:
  /// Collective: on a channel of its own, so that nothing else is mixed up with it.
  explicit Transfers(const Communicator& ranks) : channel_(ranks, 0) {}

  /// Begin; the memory must last until done.
  void send(int peer, std::span<const std::byte> bytes);
  void receive(int peer, std::span<std::byte> bytes);

  /// Gives the transfers time to go on; whether all are done.
  bool advance();

  /// Waits until all are done, for no rank longer than the patience lasts.
  void wait();

 private:
  OwnedCommunicator channel_;
  std::vector<MPI_Request> requests_;
};

}  // namespace gem
