#include "base/error.hpp"
#include "profile/pair_exchange.hpp"

namespace gem {

std::unique_ptr<PairTransport> make_nccl_pairs(const Communicator& ranks, double) {
  ranks.on_all([] { throw UsageError("--exchange: this program was built without CUDA and NCCL; use --device host"); });
  return nullptr;
}

}  // namespace gem
