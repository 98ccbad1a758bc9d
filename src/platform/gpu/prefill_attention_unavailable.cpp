#include "base/error.hpp"
#include "platform/gpu/prefill_attention.hpp"

namespace gem {

bool has_prefill_attention() {
  return false;
}

std::unique_ptr<PrefillAttention> make_prefill_attention(const CudaStream&, const PrefillAttentionShape&) {
  throw UsageError("this program was built without cuDNN, by which attention of prefill runs");
}

std::string cudnn_state() {
  return "no cuDNN";
}

}  // namespace gem
