#pragma once

#include <cstddef>
#include <memory>

#include "model/latency_profile.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Swaps bytes with one other rank.
class PairTransport {
 public:
  virtual ~PairTransport() = default;
  virtual const char* name() const = 0;
  /// Seconds in which this rank and `peer` send each other `bytes`; both call it, others take no part.
  virtual double swap(int peer, std::size_t bytes) = 0;
};

/// Through host memory.
std::unique_ptr<PairTransport> make_mpi_pairs(const Communicator& ranks);

/// From GPU to GPU, timed as gem-verify times an exchange: by events, the launch included. Collective. UsageError where
/// the program was built without CUDA; no swap waits longer than `patience_s` for the peer.
std::unique_ptr<PairTransport> make_nccl_pairs(const Communicator& ranks, double patience_s);

/// Latency and bandwidth between every two ranks, one pair after another while all others wait; medians, of each pair
/// the slower rank's. On rank 0, nothing elsewhere. Collective.
PairExchange measure_pairs(const Communicator& ranks, PairTransport& transport);

}  // namespace gem
