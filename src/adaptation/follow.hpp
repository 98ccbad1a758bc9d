#pragma once

#include <cstddef>
#include <functional>

#include "adaptation/adaptation_report.hpp"
#include "adaptation/drift.hpp"
#include "adaptation/policies.hpp"

namespace gem {

/// How a run is simulated.
struct FollowOptions {
  double noise = 0.003;                 ///< standard deviation of the log of a measured time
  std::size_t moves_a_step = SIZE_MAX;  ///< experts that a gradual policy may move before a step; a layer's all at once
  std::uint64_t seed = 1;
};

/// Runs all steps after the training ones under each policy, on devices that take what the profile says times their
/// slowdown times noise: the same for every policy. Steps stand still while experts move, one after the other. `done`
/// is called now and then with the steps that are done. The report's model, tasks and bytes are left to the caller.
AdaptationReport follow(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                        const FollowOptions& options, const std::function<void(std::size_t done)>& done);

}  // namespace gem
