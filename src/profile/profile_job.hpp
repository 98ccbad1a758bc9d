#pragma once

#include <memory>
#include <vector>

#include "device/device_factory.hpp"
#include "model/latency_profile.hpp"
#include "profile/profile_request.hpp"

namespace gem {

/// Devices of one rank.
using Devices = std::vector<std::unique_ptr<MoeDevice>>;

/// The setup in the tiles that the devices say they work in, or that a probe of them finds, if the request leaves that
/// to them; else as it is. DataError where ranks differ, or the probe shows none. Collective.
ProfileSetup with_tiles_of(const Devices& devices, const Communicator& ranks, const ProfileRequest& request,
                           const ProfileSetup& setup);

/// Makes the experts of the sweep resident on this rank's devices. Collective.
void place_experts(const Communicator& ranks, const ProfileSetup& setup, const Devices& devices);

/// This rank's devices with the experts of the sweep resident. Collective.
Devices make_and_place(const Communicator& ranks, const ProfileSetup& setup);

/// Measures exchange and shared experts, where the setup has them, and runs the setup's sweep on these devices. Returns
/// the whole profile on rank 0. Collective.
LatencyProfile measure_profile(const Communicator& ranks, const ProfileSetup& setup, const Devices& devices,
                               ProfileSink& sink);

}  // namespace gem
