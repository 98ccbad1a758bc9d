#pragma once

#include <memory>
#include <vector>

#include "device/device_kind.hpp"
#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"
#include "verification/replay_question.hpp"
#include "verification/report.hpp"
#include "verification/step_decoders.hpp"

namespace gem {

/// Whether whole decoder steps are asked for.
bool replays_whole_steps(const ReplayRequest& request);

/// OptionError for options of whole steps where none are asked for.
void check_whole_step_options(const ReplayRequest& request);

/// Throws where the model or the batch of whole steps doesn't fit profile and trace.
void check_whole_steps(const ReplayRequest& request, const ReplayQuestion& question);

/// Tokens in the caches of whole steps; 0 where attention itself can't be run: in prefill, on devices of which some
/// don't run it. Collective.
std::size_t replayed_context(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                             const DeviceKind& kind);

/// What this rank's devices run beside routed experts. speeds: [device] relative.
StepDecoders make_decoders(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                           const std::vector<std::unique_ptr<MoeDevice>>& local, const std::vector<double>& speeds,
                           std::size_t context);

/// What whole steps are made of on devices of that kind.
StepSetting step_setting(const ReplayRequest& request, const ReplayQuestion& question, const DeviceKind& kind,
                         std::size_t context);

}  // namespace gem
