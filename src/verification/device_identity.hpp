#pragma once

#include <string>
#include <vector>

#include "model/latency_profile.hpp"
#include "model/mapping.hpp"

namespace gem {

/// How the first of the running devices that is not the profile's differs from it, as a clause: "device 1 was X on A,
/// but is X on B". Empty if none differs, or if the profile is of simulated devices, which are the same everywhere.
/// What the profile doesn't say is not compared. As many devices in both.
std::string device_difference(const LatencyProfile& profile, const std::vector<DeviceDescription>& running);

/// The same of the devices that a mapping was made for; empty, too, if it doesn't say which.
std::string device_difference(const Mapping& mapping, const std::vector<DeviceDescription>& running);

/// One sentence for the user of a job whose devices differ so: what that means and what to do.
std::string device_warning(const std::string& difference);

}  // namespace gem
