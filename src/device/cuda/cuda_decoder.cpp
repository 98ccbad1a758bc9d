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

kernels::DecodeAttentionShape attention_shape(const DecoderShape& shape) {
  const bool latent = shape.attention == AttentionKind::Latent;
  const auto value_size = static_cast<int>(latent ? shape.key_rank : shape.head_size);
  return {static_cast<int>(shape.query_heads), static_cast<int>(shape.kv_heads),
          value_size + static_cast<int>(shape.rotary_size), value_size, latent};
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
  for (const MatrixProduct& shape : products_of(work_.model, part, work_.tokens)) {
    Product product{shape, DeviceBuffer<std::uint16_t>(shape.batch * shape.columns * shape.depth)};
    fill(product.weights, std::sqrt(3.0f / static_cast<float>(shape.depth)));
    input_.reserve(shape.batch * shape.rows * shape.depth);
    output_.reserve(shape.batch * shape.rows * shape.columns);
    products_[part].push_back(std::move(product));
  }
}

void CudaDecoder::make_cache() {
  const kernels::DecodeAttentionShape shape = attention_shape(work_.model.decoder);
  const auto elements = [](std::size_t tokens, int heads, int size) {
    return tokens * static_cast<std::size_t>(heads) * static_cast<std::size_t>(size);
  };
  keys_ = DeviceBuffer<std::uint16_t>(elements(work_.tokens * work_.context, shape.kv_heads, shape.key_size));
  fill(keys_, 1.7320508f);
  if (!shape.latent) {
    values_ = DeviceBuffer<std::uint16_t>(elements(work_.tokens * work_.context, shape.kv_heads, shape.value_size));
    fill(values_, 1.7320508f);
  }
  query_ = DeviceBuffer<std::uint16_t>(elements(work_.tokens, shape.query_heads, shape.key_size));
  fill(query_, 1.7320508f);
  attended_ = DeviceBuffer<std::uint16_t>(elements(work_.tokens, shape.query_heads, shape.value_size));
  attention_workspace_ =
      DeviceBuffer<unsigned char>(kernels::decode_attention_workspace_bytes(shape, static_cast<int>(work_.tokens)));
}

const kernels::DecodeAttentionPlan& CudaDecoder::attention_plan(std::size_t context) {
  kernels::DecodeAttentionPlan& plan = attention_plans_[context];
  if (plan.splits == 0) {
    DeviceBuffer<std::int32_t>& contexts = contexts_[context];
    contexts.upload(std::vector<std::int32_t>(work_.tokens, static_cast<std::int32_t>(context)), stream_.handle());
    kernels::DecodeAttentionArguments arguments;
    arguments.shape = attention_shape(work_.model.decoder);
    arguments.sequences = static_cast<int>(work_.tokens);
    arguments.max_context = static_cast<int>(context);  // the cache of a layer with a window holds the window
    arguments.query = query_.data();
    arguments.keys = keys_.data();
    arguments.values = values_.data();
    arguments.contexts = contexts.data();
    arguments.output = attended_.data();
    arguments.workspace = attention_workspace_.data();
    arguments.scale =
        1.0f / std::sqrt(static_cast<float>(work_.model.decoder.head_size + work_.model.decoder.rotary_size));
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
  if (part == StepPart::Attention)
    check_cuda(kernels::launch_decode_attention(
                   attention_plan(work_.model.decoder.seen_tokens(work_.context, layer_id)), stream_.handle()),
               "attention");
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
  if (std::ranges::find(enqueued, StepPart::Attention) != enqueued.end())
    attention_plan(work_.model.decoder.seen_tokens(work_.context, layer_id));  // zeroes its counters once
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
