#include "adaptation/expert_mover.hpp"
#include "base/error.hpp"

namespace gem {

std::unique_ptr<ExpertMover> make_nccl_expert_mover(const Communicator& ranks, MoeDevice&, double) {
  ranks.on_all([] { throw UsageError("this program was built without CUDA and NCCL, by which GPUs send weights"); });
  return nullptr;
}

}  // namespace gem
