#include "device/decoder_device.hpp"

namespace gem {

bool has_part(const DecoderWork& work, StepPart part) {
  if (work.tokens == 0 || (work.shared_alone && part != StepPart::SharedExperts)) return false;
  switch (part) {
    case StepPart::Attention:
      return work.context > 0;
    case StepPart::SharedExperts:
      return work.model.shared_expert_count > 0;
    case StepPart::DenseFfn:
      return work.model.dense_layer_count() > 0 && work.model.decoder.dense_intermediate_size > 0;
    case StepPart::Dispatch:
    case StepPart::Experts:
    case StepPart::Combine:
      return false;  // not of this device alone
    default:
      return true;
  }
}

ExpertShape ffn_shape_of(const MoeModel& model, StepPart part) {
  return {model.expert.hidden_size,
          part == StepPart::DenseFfn ? model.decoder.dense_intermediate_size : model.shared_intermediate_size};
}

std::unique_ptr<DecoderDevice> MoeDevice::make_decoder(const DecoderWork&) {
  return nullptr;
}

}  // namespace gem
