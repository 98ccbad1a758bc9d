#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "device/cuda/cuda_device.hpp"
#include "device/cuda/gpu_timer.hpp"
#include "device/decoder_device.hpp"
#include "kernels/decode_attention.hpp"
#include "platform/gpu/cublas.hpp"
#include "platform/gpu/cuda.hpp"
#include "platform/gpu/prefill_attention.hpp"

namespace gem {

/// The rest of a decoder step on a GPU, bf16: products by cuBLAS, attention of decode, norm and top-k by kernels/,
/// attention of prefill by cuDNN, each part between two events; shared experts and dense layers by the experts' kernel.
/// L2 is flushed before each call of time_parts, as other layers' weights and caches flush it in serving, so that one
/// set of weights and one cache serve all layers.
class CudaDecoder : public DecoderDevice {
 public:
  /// UsageError for attention that the kernel or cuDNN hasn't; SystemError where memory is short.
  CudaDecoder(const CudaDeviceOptions& options, const DecoderWork& work);
  void time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) override;

 private:
  struct Product {
    MatrixProduct shape;
    DeviceBuffer<std::uint16_t> weights;  // [batch, columns, depth]
  };

  void make_products(StepPart part);
  void make_cache();
  const kernels::DecodeAttentionPlan& attention_plan(std::size_t context);
  PrefillAttention& prefill_attention(std::size_t seen);
  void make_attention(std::size_t layer_id);
  void enqueue_attention(std::size_t layer_id);
  void enqueue(std::size_t layer_id, StepPart part);
  void fill(DeviceBuffer<std::uint16_t>& values, float amplitude);

  CudaDeviceOptions options_;
  DecoderWork work_;
  DecoderFfns ffns_;
  CudaStream stream_;
  GpuTimer timer_;
  Cublas cublas_;
  std::uint32_t fill_count_ = 0;
  std::map<StepPart, std::vector<Product>> products_;
  DeviceBuffer<std::uint16_t> hidden_, normalised_;  // [token, hidden_size]
  DeviceBuffer<std::uint16_t> input_, output_;       // of any product
  DeviceBuffer<std::int32_t> ids_;                   // [token, top_k]
  DeviceBuffer<float> expert_weights_;               // [token, top_k]
  DeviceBuffer<std::uint16_t> query_, keys_, values_, attended_;
  DeviceBuffer<unsigned char> attention_workspace_;
  std::map<std::size_t, DeviceBuffer<std::int32_t>> contexts_;           // by tokens seen
  std::map<std::size_t, kernels::DecodeAttentionPlan> attention_plans_;  // by tokens seen
  std::map<std::size_t, std::unique_ptr<PrefillAttention>> prefills_;    // by keys that the last token sees
};

}  // namespace gem
