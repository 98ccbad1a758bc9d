#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "device/moe_device.hpp"
#include "model/latency_profile.hpp"
#include "platform/mpi.hpp"
#include "profile/sink.hpp"
#include "profile/stopping.hpp"

namespace gem {

struct SweepOptions {
  StoppingRule stopping;
  std::size_t warm_up = 2;      ///< calls before the samples of a point
  std::size_t layer_count = 1;  ///< layers whose weights rotate, so that caches are as cold as in serving
  bool take_turns = false;      ///< ranks of a host measure one after the other, because they share a device
  bool show_progress = false;
  std::function<void(std::size_t)> on_resume{};  ///< told on rank 0 how many points an earlier run has left, if any
};

using DeviceList = std::span<const std::unique_ptr<MoeDevice>>;

/// Descriptions of all devices of the job, in their order, on rank 0; empty elsewhere. Collective.
std::vector<DeviceDescription> gather_descriptions(const Communicator& ranks, DeviceList devices);

/// Makes expert_count experts of each of layer_count layers resident on every device, other experts on each. Throws on
/// one rank alone where memory is short: call within on_all.
PlacementCost place_for_sweep(DeviceList devices, std::size_t first_device, std::size_t expert_count,
                              std::size_t layer_count);

/// Measures the plan on all devices of the job: every rank measures the same point at the same moment, after a barrier;
/// they stop together, when the rule lets no device go on. Rank 0 hands each finished row to the sink and, at the end,
/// the drift of the first point. Points that the sink has from an earlier run are not measured again.
/// `plan` is complete on every rank except for its devices, which rank 0 needs. Returns the whole profile on rank 0,
/// the plan elsewhere. Collective.
LatencyProfile run_sweep(const Communicator& ranks, DeviceList devices, const LatencyProfile& plan,
                         const SweepOptions& options, ProfileSink& sink);

}  // namespace gem
