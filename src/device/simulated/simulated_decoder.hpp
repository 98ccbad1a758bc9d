#pragma once

#include "device/decoder_device.hpp"
#include "device/simulated/simulated_device.hpp"

namespace gem {

/// The rest of a decoder step on a virtual clock, without noise:
///
///   product   = launch + max(slowdown * 2 * batch * rows * columns * depth / flops, weights and rows / memory's speed)
///   attention = launch + cache / memory's speed; of prefill
///               launch + max(slowdown * 2 * query heads * (key + value size) * pairs of tokens / flops, rows / speed)
///   norm      = launch
///
/// with the rates of SimulationModel; a launch in a graph takes a microsecond. Shared experts and dense layers are
/// SimulatedDevice's experts.
class SimulatedDecoder : public DecoderDevice {
 public:
  SimulatedDecoder(const SimulatedDeviceOptions& options, const DecoderWork& work);
  void time_parts(std::size_t layer_id, std::span<const StepPart> parts, StepPartTimes& times) override;

 private:
  double part_s(std::size_t layer_id, StepPart part) const;

  SimulatedDeviceOptions options_;
  DecoderWork work_;
  DecoderFfns ffns_;
};

}  // namespace gem
