#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "device/moe_device.hpp"
#include "model/latency_profile.hpp"
#include "model/profile_progress.hpp"
#include "platform/mpi/mpi.hpp"
#include "profile/measurement.hpp"

namespace gem {

struct SweepOptions {
  MeasurementOptions measurement;
  bool show_progress = false;
  /// [load][slot] tokens, measured after the plan to choose the load rule by; none: a plain one.
  std::vector<std::vector<std::uint32_t>> rule_loads{};
  std::size_t trial_count = 0;  ///< of these, the last ones, that the rule isn't made from but tried on
  std::size_t uneven_ways = 0;  ///< in which a point's tokens are spread over its experts; 0: evenly
  std::uint64_t seed = 1;       ///< of these ways
  std::function<void(std::size_t)> on_resume{};  ///< told on rank 0 how many points an earlier run has left, if any
  /// Asked after each point; once it says yes on any rank, the sweep ends with ExitCode::Interrupted, all points saved.
  std::function<bool()> stop_requested{};
};

/// Descriptions of all devices of the job, in their order, on rank 0; empty elsewhere. Collective.
std::vector<DeviceDescription> gather_descriptions(const Communicator& ranks, DeviceList devices);

/// Makes expert_count experts of each of layer_count layers resident on every device, other experts on each. Throws on
/// one rank alone where memory is short: call within on_all.
PlacementCost place_for_sweep(DeviceList devices, std::size_t first_device, std::size_t expert_count,
                              std::size_t layer_count);

/// Measures the plan on all devices of the job (see Measurement). Rank 0 hands the growing profile to the sink after
/// each point and, with the drift of the first point and how experts add up, at the end. Points that the sink has from
/// an earlier run are not measured again. `plan` is complete on every rank except for its devices, which rank 0 needs.
/// Returns the whole profile on rank 0, the plan elsewhere. AgreedError if it was asked to stop. Collective.
LatencyProfile run_sweep(const Communicator& ranks, DeviceList devices, const LatencyProfile& plan,
                         const SweepOptions& options, ProfileSink& sink);

/// Median latency of other loads, [device, load] seconds, on rank 0, measured as the points of a sweep are. `loads` are
/// [load][slot] tokens, the same on every rank; first_number counts on from the measurements before, and `doing` is
/// what the progress is called. Collective.
Matrix<double> measure_loads(const Communicator& ranks, DeviceList devices,
                             std::span<const std::vector<std::uint32_t>> loads, std::size_t first_number,
                             const SweepOptions& options, const std::string& doing = "validating");

}  // namespace gem
