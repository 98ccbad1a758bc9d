#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "adaptation/adaptation_report.hpp"
#include "adaptation/drift.hpp"
#include "adaptation/policies.hpp"
#include "base/option.hpp"
#include "cost/cost_model.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// When experts of a gradual policy move.
enum class Moving {
  Pause,  ///< between two steps
  During  ///< beside a step; what has not arrived at its end is waited for
};

inline std::vector<OptionWord<Moving>> words_of(Moving) {
  return {{"pause", Moving::Pause}, {"during", Moving::During}};
}

/// How a run goes.
struct FollowOptions {
  double noise = 0.003;                 ///< standard deviation of the log of a measured time, of simulated devices
  std::size_t moves_a_step = SIZE_MAX;  ///< experts that a gradual policy may move a step
  Moving moving = Moving::Pause;        ///< simulated devices can only pause
  std::uint64_t seed = 1;
};

/// Which of the policies one of several processes runs: every so many, from one on.
struct PolicyDeal {
  std::size_t first = 0;
  std::size_t stride = 1;
};

/// Runs all steps after the training ones under each policy, on devices that take what the profile says times their
/// slowdown times noise: the same for every policy. Steps stand still while experts move, one after the other. `done`
/// is called now and then with the steps that are done. The report's model, tasks and bytes are left to the caller;
/// rows of policies that others run are 0.
AdaptationReport follow(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                        const FollowOptions& options, const std::function<void(std::size_t done)>& done,
                        const PolicyDeal& deal = {});

/// A report of policies of these names, of whose steps nothing is known yet.
AdaptationReport begin_report(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                              const std::vector<std::string>& names);

/// [layer, device] seconds of a step, by the profile.
Matrix<double> predicted_seconds(const CostModel& model, const LoadTrace& trace, std::size_t step,
                                 const std::vector<ExpertHomes>& homes);

}  // namespace gem
