#pragma once

#include <cstddef>
#include <memory>

#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"
#include "platform/mpi/turns.hpp"
#include "verification/expert_parallel_layer.hpp"

namespace gem {

/// An expert-parallel layer whose rows stay on the GPUs and travel by NCCL (grouped sends and receives), bf16.
/// Collective. UsageError for a device that isn't a GPU, or where the program was built without CUDA. No exchange waits
/// longer than `patience_s` for a peer.
std::unique_ptr<ExpertParallelLayer> make_nccl_expert_layer(const Communicator& communicator, MoeDevice& device,
                                                            std::size_t hidden_size, std::size_t top_k, Turns turns,
                                                            double patience_s);

}  // namespace gem
