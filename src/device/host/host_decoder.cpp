#include "device/host/host_decoder.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "device/host/expert_weights.hpp"
#include "device/host/thread_seconds.hpp"

namespace gem {
namespace {

std::unique_ptr<MoeDevice> make_ffn(HostDeviceOptions options, const ExpertShape& shape, std::size_t tokens) {
  options.expert = shape;
  options.tile_tokens = std::max<std::size_t>(1, std::min(options.tile_tokens, tokens));
  return std::make_unique<HostDevice>(options);
}

}  // namespace

HostDecoder::HostDecoder(const HostDeviceOptions& options, const DecoderWork& work)
    : options_(options),
      work_(work),
      heads_(attention_heads(work.model.decoder, work.prefill)),
      ffns_(work, [&](const ExpertShape& shape) { return make_ffn(options, shape, work.tokens); }) {
  if (work.tokens == 0 || work.shared_alone) return;
  hidden_.resize(work.tokens * work.model.expert.hidden_size);
  fill_random_rows(work.seed, hidden_);
  for (const StepPart part : {StepPart::QueryKeyValue, StepPart::Output, StepPart::Router, StepPart::Head})
    make_products(part);
  if (work.context > 0) make_cache();
  order_.resize(work.model.expert_count);
}

void HostDecoder::make_products(StepPart part) {
  std::size_t number = 0;
  for (const MatrixProduct& product : work_.products(part)) {
    Product made{Gemm(product.rows, product.columns, product.depth, options_.type),
                 {},
                 product.rows,
                 product.columns,
                 product.depth};
    std::vector<float> weights(product.columns * product.depth);
    for (std::size_t b = 0; b < product.batch; ++b) {
      fill_expert_weights(work_.seed, index_of(part), {static_cast<std::int32_t>(b + 1000 * number)},
                          ExpertMatrix::Gate, product.depth, weights);
      made.weights.push_back(made.gemm.pack(weights));
    }
    std::vector<float> rows(product.rows * product.depth);
    fill_random_rows(work_.seed, rows);
    input_.resize(std::max(input_.size(), rows.size() * element_bytes(options_.type)));
    store_elements(rows, options_.type, input_.data());
    output_.resize(std::max(output_.size(), product.rows * product.columns));
    products_[part].push_back(std::move(made));
    ++number;
  }
}

void HostDecoder::make_cache() {
  const std::size_t keys = work_.sequences() * heads_.kv_heads * work_.key_count();
  keys_.resize(keys * heads_.key_size);
  fill_random_rows(work_.seed + 1, keys_);
  if (!heads_.values_in_keys) {
    values_.resize(keys * heads_.value_size);
    fill_random_rows(work_.seed + 2, values_);
  }
  queries_.resize(work_.tokens * heads_.query_heads * heads_.key_size);
  fill_random_rows(work_.seed + 3, queries_);
  attended_.resize(work_.tokens * heads_.query_heads * heads_.value_size);
  scores_.resize(work_.key_count());
}

void HostDecoder::normalise() {
  const std::size_t size = work_.model.expert.hidden_size;
  for (std::size_t token = 0; token < work_.tokens; ++token) {
    const std::span<float> row(&hidden_[token * size], size);
    const float square = std::inner_product(row.begin(), row.end(), row.begin(), 0.0f);
    const float scale = 1.0f / std::sqrt(square / static_cast<float>(size) + 1e-6f);
    for (float& value : row) value *= scale;
  }
}

// softmax(q K^T / sqrt(size)) V for each query head over the last tokens of its sequence that the layer sees.
void HostDecoder::attend(std::size_t layer_id) {
  const std::size_t keys = heads_.key_size, values = heads_.value_size;
  const float scale = attention_scale(work_.model.decoder);
  for (std::size_t pair = 0; pair < work_.tokens * heads_.query_heads; ++pair) {
    const std::size_t token = pair / heads_.query_heads, head = pair % heads_.query_heads;
    const std::size_t sequence = work_.prefill ? 0 : token, before = work_.keys_before(token);
    const std::size_t group = sequence * heads_.kv_heads + head / (heads_.query_heads / heads_.kv_heads);
    const std::size_t seen = work_.model.decoder.seen_tokens(before, layer_id);
    const std::size_t first = group * work_.key_count() + before - seen;
    const float* query = &queries_[pair * keys];
    float highest = -INFINITY;
    for (std::size_t t = 0; t < seen; ++t) {
      scores_[t] = scale * std::inner_product(query, query + keys, &keys_[(first + t) * keys], 0.0f);
      highest = std::max(highest, scores_[t]);
    }
    float* out = &attended_[pair * values];
    std::fill_n(out, values, 0.0f);
    float sum = 0.0f;
    for (std::size_t t = 0; t < seen; ++t) {
      const float weight = std::exp(scores_[t] - highest);
      sum += weight;
      const float* value = heads_.values_in_keys ? &keys_[(first + t) * keys] : &values_[(first + t) * values];
      for (std::size_t i = 0; i < values; ++i) out[i] += weight * value[i];
    }
    for (std::size_t i = 0; i < values; ++i) out[i] /= sum;
  }
}

void HostDecoder::choose_experts() {
  const std::size_t experts = work_.model.expert_count;
  for (std::size_t token = 0; token < work_.tokens; ++token) {
    const float* logits = &output_[token * experts];
    std::iota(order_.begin(), order_.end(), 0);
    std::partial_sort(order_.begin(), order_.begin() + static_cast<std::ptrdiff_t>(work_.model.top_k), order_.end(),
                      [&](std::int32_t a, std::int32_t b) { return logits[a] > logits[b]; });
  }
}

void HostDecoder::run(std::size_t layer_id, StepPart part) {
  if (begins_with_norm(part)) normalise();
  if (part == StepPart::Attention) attend(layer_id);
  for (Product& product : products_[part])
    for (const Gemm::Weights& weights : product.weights) product.gemm.multiply(input_.data(), weights, output_.data());
  if (part == StepPart::Router) choose_experts();
}

void HostDecoder::time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) {
  for (const StepPart part : parts) {
    double& seconds = times[index_of(part)] = 0.0;
    if (!has_part(work_, part)) continue;
    if (part == StepPart::SharedExperts || part == StepPart::DenseFfn) {
      seconds = ffns_.seconds(part);
      continue;
    }
    const double begin = thread_seconds();
    run(layer_id, part);
    const double own_s = thread_seconds() - begin;
    seconds = own_s;
    while (seconds < options_.slowdown * own_s) seconds = thread_seconds() - begin;
  }
}

std::unique_ptr<DecoderDevice> HostDevice::make_decoder(const DecoderWork& work) {
  return std::make_unique<HostDecoder>(options_, work);
}

}  // namespace gem
