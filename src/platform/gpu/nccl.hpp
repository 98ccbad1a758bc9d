#pragma once

#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "platform/gpu/cuda.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Throws SystemError with NCCL's text unless `status` is ncclSuccess.
void check_nccl(ncclResult_t status, const char* what);

/// NCCL over the ranks of a communicator, one GPU a rank. Its errors are polled while waiting, so that a dead or hung
/// peer ends in a SystemError, not in a hang.
class NcclCommunicator {
 public:
  /// Collective over `ranks`; the current CUDA device is this rank's. No call waits longer than `patience_s`.
  explicit NcclCommunicator(const Communicator& ranks, double patience_s = 60.0);
  ~NcclCommunicator();
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;

  /// Enqueues on `stream`: send_counts[rank] rows of `row_bytes` to each rank, in the order of ranks, and
  /// receive_counts[rank] from each. Device pointers.
  void exchange_rows(const void* sent, std::span<const std::int32_t> send_counts, void* received,
                     std::span<const std::int32_t> receive_counts, std::size_t row_bytes, const CudaStream& stream);

  /// Bytes on the GPU to or from a rank.
  struct Piece {
    int peer;
    std::span<std::byte> bytes;
  };
  /// Enqueues these; what a rank sends to another arrives in the order in which that one receives from it.
  void exchange_pieces(std::span<const Piece> sent, std::span<const Piece> received, const CudaStream& stream);

  /// Waits until all that is on `stream` is done; SystemError if NCCL reports an error or time is up (a peer has died
  /// or hangs).
  void wait(const CudaStream& stream);

 private:
  template <class Done>
  void poll(const char* what, Done done);
  void abort();

  ncclComm_t handle_ = nullptr;
  int rank_ = 0;
  double patience_s_ = 60.0;
};

}  // namespace gem
