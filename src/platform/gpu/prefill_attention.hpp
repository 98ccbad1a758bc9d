#pragma once

#include <cstddef>
#include <memory>
#include <string>

namespace gem {

class CudaStream;

/// A chunk of a prompt that attends to the tokens before it and, causally, to itself.
struct PrefillAttentionShape {
  std::size_t tokens = 0;  ///< of the chunk
  std::size_t keys = 0;    ///< tokens that it follows and its own
  std::size_t query_heads = 0;
  std::size_t kv_heads = 0;    ///< divides query_heads
  std::size_t key_size = 0;    ///< elements of a query or key
  std::size_t value_size = 0;  ///< elements of a value
  std::size_t window = 0;      ///< last keys, its own included, that a token sees; 0: all
  float scale = 1.0f;          ///< of query times key, before the softmax
};

/// Attention of prefill on a GPU in bf16 by cuDNN, which is loaded when it is first asked for.
class PrefillAttention {
 public:
  virtual ~PrefillAttention() = default;
  /// Enqueues softmax(scale Q K^T) V on the stream; all row-major on the GPU: query [tokens, query_heads, key_size],
  /// keys [keys, kv_heads, key_size], values [keys, kv_heads, value_size], output [tokens, query_heads, value_size].
  virtual void enqueue(const void* query, const void* keys, const void* values, void* output) = 0;
};

/// Whether this program was built with cuDNN's headers and finds the library.
bool has_prefill_attention();

/// UsageError where cuDNN has no kernel for the shape; SystemError where it fails.
std::unique_ptr<PrefillAttention> make_prefill_attention(const CudaStream& stream, const PrefillAttentionShape& shape);

/// "cuDNN 9.19.0", or that it isn't built in or wasn't found.
std::string cudnn_state();

}  // namespace gem
