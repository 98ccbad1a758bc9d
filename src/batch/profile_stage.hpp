#pragma once

#include <string>

#include "batch/manifest.hpp"
#include "platform/mpi.hpp"

namespace gem {

/// The profile of a pair's devices in OUTPUT/profiles, measured now unless it is there: of the same model and shape, on
/// the same devices, by the same plan. Named after the model and a digest of all that, so that profiles of several
/// clusters can lie together. A sweep that was interrupted goes on. Returns the file's name on every rank. AgreedError
/// with ExitCode::Interrupted if it was asked to stop. Collective.
std::string ensure_profile(const Communicator& group, const BatchPair& pair, const std::string& output,
                           const std::string& command_line);

}  // namespace gem
