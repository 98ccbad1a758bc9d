#pragma once

#include <string>
#include <vector>

#include "platform/mpi/mpi.hpp"
#include "profile_setup.hpp"

namespace gem {

/// So many experts on each device that any number of devices can be checked, unless the request says how many.
void choose_experts_to_check(ProfileRequest& request, std::size_t rank_count);

/// What gem-profile --check will do.
std::string describe_check(const ProfileSetup& setup);

/// Measures a few heavy loads on all devices, again and again, and prints on rank 0 whether the devices differ. Writes
/// no file. Collective.
void check_devices(const Communicator& ranks, const ProfileRequest& request, const ProfileSetup& setup,
                   const Devices& devices);

/// Prints the same verdict from profiles of the same devices, each a repetition. DataError for files that are no such
/// profiles.
void compare_profiles(const std::vector<std::string>& files);

}  // namespace gem
