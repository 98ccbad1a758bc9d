#include "device/cuda/cuda_decoder.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "device/cuda/cuda_moe_device.hpp"
#include "kernels/decoder_rows.hpp"
#include "kernels/random_values.hpp"
#include "kernels/spin.hpp"

namespace gem {
namespace {

std::unique_ptr<MoeDevice> make_ffn(CudaDeviceOptions options, const ExpertShape& shape, std::size_t tokens) {
  options.expert = shape;
  options.tile_tokens = cuda_tile_tokens(static_cast<double>(tokens), options.weight_type);
  return make_cuda_device(options);
}

kernels::DecodeAttentionShape decode_shape(const DecoderShape& shape) {
  const AttentionHeads heads = attention_heads(shape, false);
  return {static_cast<int>(heads.query_heads), static_cast<int>(heads.kv_heads), static_cast<int>(heads.key_size),
          static_cast<int>(heads.value_size), heads.values_in_keys};
}

}  // namespace

CudaDecoder::CudaDecoder(const CudaDeviceOptions& options, const DecoderWork& work)
    : options_(options),
      work_(work),
      ffns_(work, [&](const ExpertShape& shape) { return make_ffn(options, shape, work.tokens); }),
      cublas_(stream_) {
  if (work.tokens == 0 || work.shared_alone) return;
  const std::size_t hidden = work.tokens * work.model.expert.hidden_size;
  hidden_ = DeviceBuffer<std::uint16_t>(hidden);
  normalised_ = DeviceBuffer<std::uint16_t>(hidden);
  fill(hidden_, 1.7320508f);
  for (const StepPart part : {StepPart::QueryKeyValue, StepPart::Output, StepPart::Router, StepPart::Head})
    make_products(part);
  fill(input_, 1.7320508f);  // variance 1
  ids_ = DeviceBuffer<std::int32_t>(work.tokens * work.model.top_k);
  expert_weights_ = DeviceBuffer<float>(work.tokens * work.model.top_k);
  if (work.context > 0) make_cache();
  // First launches load code, which takes longer than a timer holds the stream.
  for (const StepPart part :
       {StepPart::QueryKeyValue, StepPart::Attention, StepPart::Output, StepPart::Router, StepPart::Head})
    enqueue(0, part);
  stream_.synchronize();
}

void CudaDecoder::fill(DeviceBuffer<std::uint16_t>& values, float amplitude) {
  check_cuda(
      kernels::launch_random_bf16(values.data(), values.size(), amplitude,
                                  static_cast<std::uint32_t>(work_.seed) + 7919u * ++fill_count_, stream_.handle()),
      "making random values");
}

void CudaDecoder::make_products(StepPart part) {
  for (const MatrixProduct& shape : work_.products(part)) {
    Product product{shape, DeviceBuffer<std::uint16_t>(shape.batch * shape.columns * shape.depth)};
    fill(product.weights, std::sqrt(3.0f / static_cast<float>(shape.depth)));
    input_.reserve(shape.batch * shape.rows * shape.depth);
    output_.reserve(shape.batch * shape.rows * shape.columns);
    products_[part].push_back(std::move(product));
  }
}

void CudaDecoder::make_cache() {
  const AttentionHeads heads = attention_heads(work_.model.decoder, work_.prefill);
  const std::size_t keys = work_.sequences() * work_.key_count() * heads.kv_heads;
  keys_ = DeviceBuffer<std::uint16_t>(keys * heads.key_size);
  fill(keys_, 1.7320508f);
  if (!heads.values_in_keys) {
    values_ = DeviceBuffer<std::uint16_t>(keys * heads.value_size);
    fill(values_, 1.7320508f);
  }
  query_ = DeviceBuffer<std::uint16_t>(work_.tokens * heads.query_heads * heads.key_size);
  fill(query_, 1.7320508f);
  attended_ = DeviceBuffer<std::uint16_t>(work_.tokens * heads.query_heads * heads.value_size);
  if (work_.prefill) return;
  attention_workspace_ = DeviceBuffer<unsigned char>(
      kernels::decode_attention_workspace_bytes(decode_shape(work_.model.decoder), static_cast<int>(work_.tokens)));
}

PrefillAttention& CudaDecoder::prefill_attention(std::size_t seen) {
  std::unique_ptr<PrefillAttention>& attention = prefills_[seen];
  if (!attention) {
    const AttentionHeads heads = attention_heads(work_.model.decoder, true);
    attention = make_prefill_attention(
        stream_, {work_.tokens, work_.key_count(), heads.query_heads, heads.kv_heads, heads.key_size, heads.value_size,
                  seen < work_.key_count() ? seen : 0, attention_scale(work_.model.decoder)});
  }
  return *attention;
}

// What is made once for a layer's attention.
void CudaDecoder::make_attention(std::size_t layer_id) {
  const std::size_t seen = work_.model.decoder.seen_tokens(work_.key_count(), layer_id);
  if (work_.prefill)
    prefill_attention(seen);
  else
    attention_plan(seen);  // zeroes its counters
}

void CudaDecoder::enqueue_attention(std::size_t layer_id) {
  const std::size_t seen = work_.model.decoder.seen_tokens(work_.key_count(), layer_id);
  if (work_.prefill)
    prefill_attention(seen).enqueue(query_.data(), keys_.data(), values_.data(), attended_.data());
  else
    check_cuda(kernels::launch_decode_attention(attention_plan(seen), stream_.handle()), "attention");
}

const kernels::DecodeAttentionPlan& CudaDecoder::attention_plan(std::size_t context) {
  kernels::DecodeAttentionPlan& plan = attention_plans_[context];
  if (plan.splits == 0) {
    DeviceBuffer<std::int32_t>& contexts = contexts_[context];
    contexts.upload(std::vector<std::int32_t>(work_.tokens, static_cast<std::int32_t>(context)), stream_.handle());
    kernels::DecodeAttentionArguments arguments;
    arguments.shape = decode_shape(work_.model.decoder);
    arguments.sequences = static_cast<int>(work_.tokens);
    arguments.max_context = static_cast<int>(context);  // the cache of a layer with a window holds the window
    arguments.query = query_.data();
    arguments.keys = keys_.data();
    arguments.values = values_.data();
    arguments.contexts = contexts.data();
    arguments.output = attended_.data();
    arguments.workspace = attention_workspace_.data();
    arguments.scale = attention_scale(work_.model.decoder);
    if (kernels::make_decode_attention_plan(arguments, &plan, stream_.handle()) != cudaSuccess)
      throw UsageError(fmt::format(
          "the attention of {} can't be run: the kernel has heads of 64 and 128 elements, at most 16 query heads to "
          "one of keys, and latent keys of 512 and 64; compose the step from a table of measured operators instead",
          work_.model.name));
  }
  return plan;
}

void CudaDecoder::enqueue(std::size_t layer_id, StepPart part) {
  if (!has_part(work_, part)) return;
  if (begins_with_norm(part))
    check_cuda(kernels::launch_rms_norm(hidden_.data(), static_cast<std::int64_t>(work_.tokens),
                                        static_cast<int>(work_.model.expert.hidden_size), normalised_.data(),
                                        stream_.handle()),
               "a norm");
  if (part == StepPart::Attention) enqueue_attention(layer_id);
  for (const Product& product : products_[part])
    cublas_.multiply(product.shape.batch, product.shape.rows, product.shape.columns, product.shape.depth, input_.data(),
                     product.weights.data(), output_.data());
  if (part == StepPart::Router)
    check_cuda(kernels::launch_top_k(output_.data(), static_cast<std::int64_t>(work_.tokens),
                                     static_cast<int>(work_.model.expert_count), static_cast<int>(work_.model.top_k),
                                     ids_.data(), expert_weights_.data(), stream_.handle()),
               "choosing experts");
}

void CudaDecoder::time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) {
  std::vector<StepPart> enqueued;
  check_cuda(cudaDeviceSynchronize(), "waiting for what kept the GPU busy");  // in another stream
  for (const StepPart part : parts) {
    const bool is_ffn = part == StepPart::SharedExperts || part == StepPart::DenseFfn;
    times[index_of(part)] = is_ffn ? ffns_.seconds(part) : 0.0;
    if (!is_ffn && has_part(work_, part)) enqueued.push_back(part);
  }
  if (enqueued.empty()) return;
  if (std::ranges::find(enqueued, StepPart::Attention) != enqueued.end()) make_attention(layer_id);
  std::vector<std::function<void()>> work;
  for (const StepPart part : enqueued) work.emplace_back([this, layer_id, part] { enqueue(layer_id, part); });
  const std::vector<double> seconds = timer_.seconds_of_each(stream_, work);
  double extra_s = 0.0;
  for (std::size_t i = 0; i < enqueued.size(); ++i) {
    times[index_of(enqueued[i])] = options_.slowdown * seconds[i];
    extra_s += (options_.slowdown - 1.0) * seconds[i];
  }
  if (extra_s <= 0.0) return;
  check_cuda(kernels::launch_spin(static_cast<std::int64_t>(extra_s * 1e9), stream_.handle()), "emulating a slowdown");
  stream_.synchronize();
}

std::unique_ptr<DecoderDevice> CudaMoeDevice::make_decoder(const DecoderWork& work) {
  return std::make_unique<CudaDecoder>(options_, work);
}

}  // namespace gem
