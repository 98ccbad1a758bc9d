#pragma once

#include <cstddef>
#include <memory>

#include "adaptation/move_queue.hpp"
#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Sends experts' weights between the ranks' devices, one device a rank. All ranks call the same functions in the same
/// order, with the same batches.
class ExpertMover {
 public:
  virtual ~ExpertMover() = default;

  /// Begins to send what of the batch is on this rank, and to receive into its spare places what comes to it. Experts
  /// stay resident where they are. `device_layer` is the batch's layer as the device numbers it.
  virtual void begin(std::size_t device_layer, const MoveBatch& batch) = 0;

  /// To be called now and then while other work goes on: a processor sends no more than it is told to.
  virtual void advance() {}

  /// Waits until all that was begun has arrived on this rank.
  virtual void wait() = 0;
};

/// Through host memory, by MPI.
std::unique_ptr<ExpertMover> make_mpi_expert_mover(const Communicator& ranks, MoeDevice& device);

/// From GPU to GPU, by NCCL, on a stream of its own beside the steps'. No wait is longer than `patience_s`. UsageError
/// where the program was built without CUDA.
std::unique_ptr<ExpertMover> make_nccl_expert_mover(const Communicator& ranks, MoeDevice& device, double patience_s);

}  // namespace gem
