#include <fmt/core.h>

#include "base/option.hpp"
#include "verification/nccl_expert_layer.hpp"

namespace gem {

std::unique_ptr<ExpertParallelLayer> make_nccl_expert_layer(const Communicator& ranks, MoeDevice&, std::size_t,
                                                            std::size_t, Turns, double) {
  ranks.on_all([] {
    throw UsageError(
        fmt::format("{0} nccl: this program was built without CUDA and NCCL; choose {0} mpi", spelled("transport")));
  });
  return nullptr;
}

}  // namespace gem
