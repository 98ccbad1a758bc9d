#include <fmt/core.h>

#include "base/option.hpp"
#include "profile/pair_exchange.hpp"

namespace gem {

std::unique_ptr<PairTransport> make_nccl_pairs(const Communicator& ranks, double) {
  ranks.on_all([] {
    throw UsageError(fmt::format("{}: this program was built without CUDA and NCCL; measure it on host devices",
                                 spelled("exchange")));
  });
  return nullptr;
}

}  // namespace gem
