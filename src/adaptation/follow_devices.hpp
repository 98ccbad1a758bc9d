#pragma once

#include <functional>
#include <vector>

#include "adaptation/expert_mover.hpp"
#include "adaptation/follow.hpp"
#include "platform/mpi/mpi.hpp"
#include "verification/expert_parallel_layer.hpp"

namespace gem {

/// This rank's part of a run on devices that work: one device a rank.
struct LiveDevice {
  MoeDevice&
      device;  ///< with DeviceOptions::weight_layers the layers of the run, so that all policies have equal weights
  ExpertParallelLayer& layer;  ///< by which rows travel
  ExpertMover& mover;          ///< by which weights travel
  double slowdown = 1.0;       ///< emulated in all steps, beside the drift
};

/// Runs all steps after the training ones under each policy, one after the other within a step, on devices that really
/// compute, exchange rows and hold weights; each policy has weights of its own, which really move. Rank 0 decides;
/// what it takes to decide isn't counted, since steps go on meanwhile in serving. Outputs are compared with those of
/// static gem, which never moves, in steps that move experts, in those next to them, and now and then. The report is
/// complete on rank 0. Collective.
AdaptationReport follow_on_devices(const Communicator& ranks, const LiveDevice& live, const LatencyProfile& profile,
                                   const Drift& drift, const AdaptationOptions& policies, const FollowOptions& options,
                                   const std::function<void(std::size_t done)>& done);

}  // namespace gem
