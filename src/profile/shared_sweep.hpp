#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/array.hpp"
#include "device/decoder_device.hpp"
#include "profile/measurement.hpp"

namespace gem {

/// What is measured of shared experts.
struct SharedSweep {
  DecoderWork work{};                  ///< the model; of how many tokens is said below
  std::vector<std::int64_t> tokens{};  ///< of one device, ascending; empty: nothing
};

/// Of a device's even share of steps of so many tokens, ascending, on so many devices.
SharedSweep shared_sweep_of(const MoeModel& model, std::uint64_t seed, const std::vector<std::int64_t>& step_tokens,
                            std::size_t device_count);

/// Seconds of each device's shared experts, [device, tokens], on rank 0: what a replay of whole steps runs, measured as
/// the points of a sweep are, one number of tokens after the other. Nothing of devices that run routed experts alone.
/// Collective.
Matrix<double> measure_shared_experts(const Communicator& ranks, DeviceList devices, const SharedSweep& sweep,
                                      const MeasurementOptions& options);

}  // namespace gem
