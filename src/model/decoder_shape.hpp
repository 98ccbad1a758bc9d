#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "base/option.hpp"

namespace gem {

struct MoeModel;

/// How a decoder layer attends: query heads that share heads of keys and values, or latent attention, whose one head of
/// compressed keys is the values, too (DeepSeek-V2 and V3).
enum class AttentionKind { Grouped, Latent };

inline std::vector<OptionWord<AttentionKind>> words_of(AttentionKind) {
  return {{"gqa", AttentionKind::Grouped}, {"latent", AttentionKind::Latent}};
}

/// What of a decoder layer isn't its routed experts; sizes in elements.
struct DecoderShape {
  AttentionKind attention = AttentionKind::Grouped;
  std::size_t query_heads = 0;
  std::size_t kv_heads = 0;     ///< 1 in latent attention
  std::size_t head_size = 0;    ///< of queries, keys and values; in latent attention without the rotary part
  std::size_t query_rank = 0;   ///< latent: of compressed queries; 0: they aren't compressed
  std::size_t key_rank = 0;     ///< latent: of compressed keys, which are the values, too
  std::size_t rotary_size = 0;  ///< latent: of the part of queries and keys that has a position
  std::size_t window = 0;       ///< tokens that layers with a window see; 0: all see all
  std::size_t full_every = 0;   ///< each so many-th layer has no window
  std::size_t vocabulary = 0;
  std::size_t dense_intermediate_size = 0;  ///< of layers without experts; 0 where there are none

  /// Tokens of `context` that decoder layer `layer_id` attends to.
  std::size_t seen_tokens(std::size_t context, std::size_t layer_id) const;
  /// Elements that the cache holds of a token in one layer.
  std::size_t cached_per_token() const;
};

/// Heads of attention as they are computed; sizes in elements.
struct AttentionHeads {
  std::size_t query_heads = 0;
  std::size_t kv_heads = 0;
  std::size_t key_size = 0;
  std::size_t value_size = 0;
  bool values_in_keys = false;  ///< a token's values are the first elements of its keys

  bool operator==(const AttentionHeads&) const = default;
};

/// Latent attention attends in decode to the compressed keys themselves; in prefill keys and values are expanded first,
/// a head of them for each of queries, which takes fewer operations for many tokens.
AttentionHeads attention_heads(const DecoderShape& shape, bool prefill);

/// What scores are multiplied by, 1 / sqrt(elements of a query).
float attention_scale(const DecoderShape& shape);

/// Parts of a decoder step, in the order in which a device runs them. Those before Dispatch make up a phase, Experts
/// and SharedExperts another: at the end of each all devices wait for the slowest.
enum class StepPart {
  QueryKeyValue,  ///< norm and product
  Attention,      ///< over the cache
  Output,         ///< product
  Router,         ///< norm, product and top-k
  Dispatch,
  Experts,
  SharedExperts,
  Combine,
  DenseFfn,  ///< in layers without experts
  Head       ///< norm and product with the vocabulary, behind the last layer
};
constexpr std::size_t step_part_count = 10;
constexpr std::size_t index_of(StepPart part) {
  return static_cast<std::size_t>(part);
}

/// As files and tables name them.
inline std::vector<OptionWord<StepPart>> words_of(StepPart) {
  return {{"qkv", StepPart::QueryKeyValue},    {"attention", StepPart::Attention},
          {"output", StepPart::Output},        {"router", StepPart::Router},
          {"dispatch", StepPart::Dispatch},    {"experts", StepPart::Experts},
          {"shared", StepPart::SharedExperts}, {"combine", StepPart::Combine},
          {"dense", StepPart::DenseFfn},       {"head", StepPart::Head}};
}

/// Parts before dispatch.
constexpr StepPart attention_parts[] = {StepPart::QueryKeyValue, StepPart::Attention, StepPart::Output,
                                        StepPart::Router};

constexpr StepPart shared_part[] = {StepPart::SharedExperts};
/// Parts that follow the last MoE layer.
constexpr StepPart tail_parts[] = {StepPart::DenseFfn, StepPart::Head};
constexpr bool is_tail(StepPart part) {
  return std::ranges::find(tail_parts, part) != std::end(tail_parts);
}

/// C[b, rows, columns] = A[b, rows, depth] B[b, columns, depth]^T, b < batch.
struct MatrixProduct {
  std::size_t batch = 1;
  std::size_t rows = 0;
  std::size_t columns = 0;
  std::size_t depth = 0;
};

/// The matrix products of a part for `rows` tokens, one after the other; none in attention itself, in the exchange and
/// in experts of any kind. Latent attention is absorbed in decode: keys and values stay compressed. Of prefill
/// `prefill_context` is how many cached tokens the chunk follows; these are expanded, too.
std::vector<MatrixProduct> products_of(const MoeModel& model, StepPart part, std::size_t rows,
                                       std::optional<std::size_t> prefill_context = std::nullopt);

/// Whether the part begins with a norm of its tokens.
bool begins_with_norm(StepPart part);

/// UsageError with the remedy unless the model's attention is in the table.
void require_decoder(const MoeModel& model);

}  // namespace gem
