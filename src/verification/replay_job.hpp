#pragma once

#include "device/device_factory.hpp"
#include "model/latency_profile.hpp"
#include "platform/mpi/mpi.hpp"
#include "verification/replay_question.hpp"

namespace gem {

/// The devices to replay on: those of the profile, unless the request says otherwise.
DeviceOptions replay_devices(const ReplayRequest& request, const LatencyProfile& profile);

/// Replays on the given devices, one a rank (any number a rank, if they are simulated). The report is complete on
/// rank 0. Collective.
VerificationReport run_replay(const Communicator& ranks, const ReplayRequest& request, const ReplayQuestion& question,
                              const DeviceOptions& devices);

}  // namespace gem
