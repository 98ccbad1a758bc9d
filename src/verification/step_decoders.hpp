#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "device/decoder_device.hpp"
#include "model/expert_copies.hpp"
#include "model/load_rule.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// This rank's devices for what of whole steps isn't routed experts and exchange; none where MoE layers alone are
/// replayed.
struct StepDecoders {
  std::vector<std::unique_ptr<DecoderDevice>> devices;  ///< [local device], or none
  std::vector<std::int32_t> layer_ids;                  ///< [layer], the model's own numbers

  void time(std::size_t device, std::size_t layer, std::span<const StepPart> parts, StepPartTimes& times) const {
    if (!devices.empty()) devices[device]->time_parts(static_cast<std::size_t>(layer_ids[layer]), parts, times);
  }
};

/// Tokens of device `device` of `device_count`, which share those of a step as evenly as possible.
std::size_t own_tokens(std::size_t tokens, std::size_t device_count, std::size_t device);

/// The same placement without further copies, [layer].
std::vector<ExpertHomes> first_homes(const std::vector<ExpertHomes>& homes);

/// The *force-balanced* steps: each step and layer has as many active experts, tiles and tokens, spread over the
/// devices by their speeds and evenly over a device's active experts; a device has no more of these than slots. Of a
/// kernel with several tiles the one that an even share of the tokens has counts. homes: [layer], the placement that
/// they are for, without copies. shared: [device] what its shared experts take beside, as a part of what all routed
/// experts of a layer would take a device of speed 1; or empty.
LoadTrace balanced_trace(const LoadTrace& trace, const std::vector<ExpertHomes>& homes,
                         const std::vector<double>& speeds, const LoadRules& rules,
                         const std::vector<double>& shared = {});

}  // namespace gem
