#pragma once

#include <functional>
#include <string>

#include "batch/manifest.hpp"
#include "batch/pair_traces.hpp"
#include "batch/stamp.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// A profile that a pair needs.
struct ProfileTask {
  ProfileSetup setup;
  std::vector<LoadTrace> workloads;  ///< as of the request
  Devices devices;                   ///< of this rank, without experts
  StageKey key{"profile"};           ///< on rank 0
  std::string kind;  ///< on rank 0: how names of profiles of such devices begin, measured in the same way
  std::string name;  ///< of the profile of these very devices
};

/// What is measured for a pair whose steps are of that size. Unless the manifest says how far, the profile reaches to
/// the next power of two of their tokens, and to 512, so that pairs of like size share it; its tiles suit their mean.
ProfileRequest profile_request(const BatchPair& pair, const StepSize& steps);

/// Whether one profile serves both pairs, by what their keys say.
bool share_profile(const BatchPair& pair, const BatchPair& other);

/// The steps that a profile of the pair is measured for, and that are there: those of all pairs of the manifest which
/// would have the same profile but for their steps. None unless its keys say for_traces.
std::vector<std::string> traces_served(const Manifest& manifest, const BatchPair& pair);

/// The same with the loads of the traces that it is for. DataError or SystemError if one can't be read.
ProfileRequest profile_request(const BatchPair& pair, const StepSize& steps, const std::vector<std::string>& served);

/// How names begin of profiles that are measured like this, of devices of these products.
std::string profile_kind(const ProfileSetup& setup, const ProfileRequest& request,
                         const std::vector<DeviceDescription>& devices);

/// Which profile the request needs on the devices of this group. Collective.
ProfileTask plan_profile(const Communicator& group, const ProfileRequest& request);

/// The profile in OUTPUT/profiles, measured now unless it is there. It is named after the model and a digest of devices
/// and plan, so that profiles of several clusters can lie together. A sweep that was interrupted goes on. `on_missing`
/// hears on rank 0 that it isn't there. The task's devices are gone afterwards. Returns the file's name. AgreedError
/// with ExitCode::Interrupted if it was asked to stop. Collective.
std::string ensure_profile(const Communicator& group, const BatchPair& pair, ProfileTask task,
                           const std::string& output, const std::string& command_line,
                           const std::function<void()>& on_missing);

}  // namespace gem
