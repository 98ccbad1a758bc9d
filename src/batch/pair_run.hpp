#pragma once

#include <functional>
#include <optional>
#include <string>

#include "batch/board.hpp"
#include "batch/manifest.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// What a run is for, if not for everything.
enum class BatchStage { Traces, Profiles, Mappings };

inline std::vector<OptionWord<BatchStage>> words_of(BatchStage) {
  return {{"traces", BatchStage::Traces}, {"profiles", BatchStage::Profiles}, {"mappings", BatchStage::Mappings}};
}

/// Whether the pair is run on devices of this job: mappings alone are searched for on any ranks, with the profile that
/// is there.
bool needs_devices(std::optional<BatchStage> only);

/// Runs what is missing or stale of a pair's stages on this group: trace, profile, map, verify, or `only` one of these
/// (profiles with the traces before them). A stage is stale if an option of its own, or the contents of a file that it
/// reads or wrote, have changed. `on_state` hears on rank 0 what is under way. True on rank 0 if anything was made.
/// Throws like its stages. Collective.
bool run_pair(const Communicator& group, const Manifest& manifest, const BatchPair& pair,
              std::optional<BatchStage> only, const std::string& command_line,
              const std::function<void(PairState)>& on_state);

/// Makes all stages of a pair stale, for a run that does everything again.
void forget_pair(const BatchPair& pair, const std::string& output);

}  // namespace gem
