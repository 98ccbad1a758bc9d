#pragma once

#include <cstddef>
#include <map>
#include <vector>

#include "device/decoder_device.hpp"
#include "device/host/host_device.hpp"
#include "platform/host/gemm.hpp"

namespace gem {

/// The rest of a decoder step on a processor core: products by the library of the experts, attention, norm and top-k in
/// plain loops over f32. One set of weights and one cache serve all layers.
class HostDecoder : public DecoderDevice {
 public:
  HostDecoder(const HostDeviceOptions& options, const DecoderWork& work);
  void time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) override;

 private:
  struct Product {
    Gemm gemm;
    std::vector<Gemm::Weights> weights;  // [batch]
    std::size_t rows, columns, depth;
  };

  void make_products(StepPart part);
  void make_cache();
  void run(std::size_t layer_id, StepPart part);
  void attend(std::size_t layer_id);
  void normalise();
  void choose_experts();

  HostDeviceOptions options_;
  DecoderWork work_;
  AttentionHeads heads_;
  DecoderFfns ffns_;
  std::map<StepPart, std::vector<Product>> products_;
  std::vector<float> hidden_;        // [token, hidden_size]
  std::vector<std::byte> input_;     // of any product
  std::vector<float> output_;        // of any product
  std::vector<float> keys_;          // [sequence, kv head, key, key size]
  std::vector<float> values_;        // likewise; none where they are the keys' first elements
  std::vector<float> queries_;       // [token, query head, key size]
  std::vector<float> attended_;      // [token, query head, value size]
  std::vector<float> scores_;        // [key]
  std::vector<std::int32_t> order_;  // [expert]
};

}  // namespace gem
