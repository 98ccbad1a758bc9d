#include "model/decoder_shape.hpp"

#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "model/moe_model.hpp"

namespace gem {

std::size_t DecoderShape::seen_tokens(std::size_t context, std::size_t layer_id) const {
  const bool has_window = window > 0 && (full_every == 0 || (layer_id + 1) % full_every != 0);
  return has_window ? std::min(context, window) : context;
}

std::size_t DecoderShape::cached_per_token() const {
  return attention == AttentionKind::Latent ? key_rank + rotary_size : 2 * kv_heads * head_size;
}

AttentionHeads attention_heads(const DecoderShape& shape, bool prefill) {
  if (shape.attention == AttentionKind::Grouped)
    return {shape.query_heads, shape.kv_heads, shape.head_size, shape.head_size, false};
  if (prefill)
    return {shape.query_heads, shape.query_heads, shape.head_size + shape.rotary_size, shape.head_size, false};
  return {shape.query_heads, shape.kv_heads, shape.key_rank + shape.rotary_size, shape.key_rank, true};
}

float attention_scale(const DecoderShape& shape) {
  return 1.0f / std::sqrt(static_cast<float>(shape.head_size + shape.rotary_size));
}

std::vector<MatrixProduct> products_of(const MoeModel& model, StepPart part, std::size_t rows,
                                       std::optional<std::size_t> prefill_context) {
  const DecoderShape& shape = model.decoder;
  const std::size_t hidden = model.expert.hidden_size, heads = shape.query_heads;
  const bool latent = shape.attention == AttentionKind::Latent;
  switch (part) {
    case StepPart::QueryKeyValue: {
      if (!latent) return {{1, rows, (heads + 2 * shape.kv_heads) * shape.head_size, hidden}};
      const std::size_t query_size = heads * (shape.head_size + shape.rotary_size);
      const MatrixProduct keys{1, rows, shape.key_rank + shape.rotary_size, hidden};
      // Absorbed into the queries, or keys and values of all tokens that are attended to.
      const MatrixProduct last =
          prefill_context ? MatrixProduct{1, rows + *prefill_context, heads * 2 * shape.head_size, shape.key_rank}
                          : MatrixProduct{heads, rows, shape.key_rank, shape.head_size};
      if (shape.query_rank == 0) return {{1, rows, query_size, hidden}, keys, last};
      return {{1, rows, shape.query_rank, hidden}, {1, rows, query_size, shape.query_rank}, keys, last};
    }
    case StepPart::Output:
      if (!latent || prefill_context) return {{1, rows, hidden, heads * shape.head_size}};
      return {{heads, rows, shape.head_size, shape.key_rank}, {1, rows, hidden, heads * shape.head_size}};
    case StepPart::Router:
      return {{1, rows, model.expert_count, hidden}};
    case StepPart::Head:  // padded, as engines do
      return {{1, rows, (shape.vocabulary + 63) / 64 * 64, hidden}};
    default:
      return {};
  }
}

bool begins_with_norm(StepPart part) {
  return part == StepPart::QueryKeyValue || part == StepPart::Router || part == StepPart::Head;
}

void require_decoder(const MoeModel& model) {
  if (model.decoder.query_heads > 0) return;
  throw UsageError(
      "the table of models has no shape of the attention of " + model.name +
      ", without which no whole step can be replayed: give a CSV file of your own with the columns attention, "
      "query_heads and so on (jobs/data/models.csv); models with linear or state-space layers can't be replayed whole");
}

}  // namespace gem
