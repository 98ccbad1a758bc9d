#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "device/device_kind.hpp"
#include "device/device_options.hpp"
#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// The first kind that is built: "cuda" where it is, else "host".
std::string default_device_kind();

/// Rows per tile that suit a mean of `tokens_per_expert`: what the devices' rule has for as many on each of their
/// experts, without one what the kind does best with, for most 16.
std::size_t default_tile_tokens(const DeviceOptions& options, double tokens_per_expert);

/// "fp8" of what the table of models says engines serve it with, "fp8 e4m3 128x128 block scales".
std::string served_weights(const std::string& served);

/// Sets the weights that devices compute with: as asked for; else those that engines serve the model with, where this
/// kind can run them, else bf16, else f32.
void choose_weights(DeviceOptions& options, const MoeModel& model);

/// Why others were chosen than it is served with, as the middle of a sentence; empty where these were, or where it is
/// unknown what it is served with.
std::string why_other_weights(const DeviceOptions& options, const std::string& served);

/// UsageError for an unknown kind, a kind that isn't built in, or options that contradict each other.
void check_device_options(const DeviceOptions& options);

/// Devices of the whole job on `rank_count` ranks.
std::size_t device_count_of(const DeviceOptions& options, std::size_t rank_count);

/// Devices of one rank: neighbouring ranks have neighbouring devices.
DeviceRange devices_of_rank(std::size_t device_count, std::size_t rank_count, std::size_t rank);

/// This rank's devices. Collective. A host device pins its rank to a core.
std::vector<std::unique_ptr<MoeDevice>> make_devices(const DeviceOptions& options, const Communicator& ranks);

}  // namespace gem
