// Attention of one decode step over a cache of keys and values, for one decoder layer on one device (formula and method
// in decode_attention.cuh). It is bound by memory: what counts are the bytes of the cache, each read once.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

namespace gem::kernels {

/// Heads of an attention layer and their sizes, in elements.
///
/// Grouped-query attention: `query_heads / kv_heads` query heads, at most 16, share one head of keys and values;
/// key_size = value_size = 64 or 128. Latent attention (DeepSeek-V2 and V3, query and output projections absorbed): one
/// head of keys of 576 elements, whose first 512 are the values, too; at most 16 query heads at the speed of memory,
/// more of them read the cache again.
struct DecodeAttentionShape {
  int query_heads = 0;
  int kv_heads = 0;
  int key_size = 0;
  int value_size = 0;
  bool latent = false;  ///< values are the first `value_size` elements of the keys
};

/// Device buffers of one layer, bf16, row-major, 16-byte aligned; they stay valid while the plan is used.
struct DecodeAttentionArguments {
  DecodeAttentionShape shape;
  int sequences = 0;                       ///< one query a sequence
  int max_context = 0;                     ///< tokens that the cache has room for, of each sequence
  const void* query = nullptr;             ///< [sequences, query_heads, key_size]
  const void* keys = nullptr;              ///< [sequences, max_context, kv_heads, key_size]
  const void* values = nullptr;            ///< [sequences, max_context, kv_heads, value_size]; unused where latent
  const std::int32_t* contexts = nullptr;  ///< [sequences], tokens in the cache, 1 to max_context
  void* output = nullptr;                  ///< [sequences, query_heads, value_size]
  void* workspace = nullptr;               ///< decode_attention_workspace_bytes(), 256-byte aligned
  float scale = 0.0f;                      ///< of query times key, before the softmax
};

/// What a launch needs; plain data that owns nothing.
struct DecodeAttentionPlan {
  DecodeAttentionArguments arguments;
  int splits = 0;  ///< blocks that share a sequence's context
};

/// Bytes of workspace that serve any number of splits: partial results and counters.
std::size_t decode_attention_workspace_bytes(const DecodeAttentionShape& shape, int sequences);

/// Fills *plan for the current device and enqueues on `stream` the zeroing of the workspace's counters; launches keep
/// them zero. cudaErrorInvalidValue for shapes, sizes or pointers that can't be served.
cudaError_t make_decode_attention_plan(const DecodeAttentionArguments& arguments, DecodeAttentionPlan* plan,
                                       cudaStream_t stream);

/// Enqueues the layer's attention on `stream`; returns the launch's error. Launches that share a workspace have to be
/// ordered by one stream.
cudaError_t launch_decode_attention(const DecodeAttentionPlan& plan, cudaStream_t stream);

/// Bytes of keys and values that one launch has to read, of `context` tokens in each sequence.
std::int64_t decode_attention_cache_bytes(const DecodeAttentionShape& shape, std::int64_t sequences,
                                          std::int64_t context);

}  // namespace gem::kernels
