#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/moe_device.hpp"
#include "model/moe_model.hpp"

namespace gem {

/// What one device has of a decoder step.
struct DecoderWork {
  MoeModel model;
  std::size_t tokens = 0;   ///< of the device's own share; in decode one a sequence
  std::size_t context = 0;  ///< tokens in the cache of each sequence; 0: attention itself isn't run
  std::uint64_t seed = 1;
  bool shared_alone = false;  ///< nothing but the shared experts
  bool prefill = false;       ///< the tokens are one sequence's chunk behind `context`, each sees those before it, too

  std::size_t sequences() const { return prefill ? 1 : tokens; }
  /// Keys of a sequence: those in the cache and, in prefill, of the chunk.
  std::size_t key_count() const { return prefill ? context + tokens : context; }
  /// Of these keys, how many the device's token `token` could see in a layer without a window: the first ones.
  std::size_t keys_before(std::size_t token) const { return prefill ? context + token + 1 : context; }
  std::vector<MatrixProduct> products(StepPart part) const {
    return products_of(model, part, tokens, prefill ? std::optional(context) : std::nullopt);
  }
};

/// Seconds of each part of a step, by StepPart's number.
using StepPartTimes = std::array<double, step_part_count>;

/// One device that runs what of decoder layers isn't routed experts, for its own share of the tokens. Rotary embedding,
/// writing to the cache and sampling are left out: microseconds.
class DecoderDevice {
 public:
  virtual ~DecoderDevice() = default;

  /// Runs the parts one after the other and writes the seconds of each at its place in `times`. `layer_id` is the
  /// model's own number, by which a layer has a window or not. Emulated slowness slows all parts.
  virtual void time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) = 0;
};

/// Whether the model and work have such a part at all.
bool has_part(const DecoderWork& work, StepPart part);

/// SharedExperts and DenseFfn are FFNs like an expert that gets all tokens: this is its shape, of a part that there is.
ExpertShape ffn_shape_of(const MoeModel& model, StepPart part);

/// Shared experts and dense layers as experts of devices of their own, made by `make` where the model has them.
class DecoderFfns {
 public:
  template <class Make>
  DecoderFfns(const DecoderWork& work, const Make& make) : tokens_{static_cast<std::uint32_t>(work.tokens)} {
    for (const StepPart part : {StepPart::SharedExperts, StepPart::DenseFfn})
      if (has_part(work, part)) {
        std::unique_ptr<MoeDevice>& device = part == StepPart::DenseFfn ? dense_ : shared_;
        device = make(ffn_shape_of(work.model, part));
        const ExpertId only[] = {{0}};
        device->place_experts(0, only);
      }
  }

  /// 0 for a part that there isn't.
  double seconds(StepPart part) const {
    const std::unique_ptr<MoeDevice>& device = part == StepPart::DenseFfn ? dense_ : shared_;
    return device ? device->time_layer(0, tokens_) : 0.0;
  }

 private:
  std::array<std::uint32_t, 1> tokens_;
  std::unique_ptr<MoeDevice> shared_, dense_;
};

}  // namespace gem
