#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "adaptation/follow.hpp"
#include "base/option.hpp"
#include "device/device_kind.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// On what policies are run, as a user says it.
struct AdaptationRequest {
  std::string device = "simulated";  ///< kind; simulated: from their profile, in these processes
  std::optional<GpuSharing> share_gpu{};
  std::optional<RowTransport> transport{};  ///< of rows and weights; none: as suits the devices
  double patience_s = 600.0;                ///< how long ranks wait for one that does not answer
  std::size_t moves_a_step = 0;             ///< experts that may move a step; 0: any number
  std::size_t move_bytes = 0;               ///< the same in bytes
  Moving moving = Moving::Pause;
  AdaptationOptions policies{};
  FollowOptions run{};
};

void describe(OptionList& options, AdaptationRequest& request);

/// Whether weights really move; else moves are priced. OptionError for what the kind of device can't do.
bool moves_weights(const AdaptationRequest& request);

/// Tells the run when experts move, and how many a step. OptionError where that is none, or where an expert's bytes
/// aren't known.
void apply_moving(AdaptationRequest& request, const LatencyProfile& profile);

/// Runs all policies: on simulated devices they are dealt to the ranks, and the answer is the same on any number of
/// them; on others one device a rank. `move_s` says what a move takes; if nothing, it is measured before the run, where
/// weights really move, else OptionError. The report is complete on rank 0. Collective.
AdaptationReport run_adaptation(const Communicator& ranks, const AdaptationRequest& request,
                                const LatencyProfile& profile, const Drift& drift, std::optional<double> move_s,
                                const std::function<void(std::size_t done)>& done);

}  // namespace gem
