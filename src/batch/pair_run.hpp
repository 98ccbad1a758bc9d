#pragma once

#include <functional>
#include <string>

#include "batch/board.hpp"
#include "batch/manifest.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Runs what is missing or stale of a pair's stages on this group: profile, trace, map, verify. A stage is stale if an
/// option of its own, or the contents of a file that it reads or wrote, have changed. `on_state` hears on rank 0 what
/// is under way. True on rank 0 if anything was made. Throws like its stages. Collective.
bool run_pair(const Communicator& group, const BatchPair& pair, const std::string& output,
              const std::string& command_line, const std::function<void(PairState)>& on_state);

/// Makes all stages of a pair stale, for a run that does everything again.
void forget_pair(const BatchPair& pair, const std::string& output);

}  // namespace gem
