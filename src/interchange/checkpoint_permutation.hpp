#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "interchange/checkpoint.hpp"
#include "interchange/permutation_record.hpp"
#include "interchange/shard_plan.hpp"

namespace gem {

/// What is to be done to a checkpoint, file by file.
struct CheckpointPermutation {
  Checkpoint source;
  std::string output;  ///< directory; the source's own for a permutation in place
  bool in_place = false;
  PermutationRecord record;
  std::vector<std::pair<std::string, ShardPlan>> files;  ///< still to be written, by name
  std::size_t finished_files = 0;                        ///< written by a run before
  std::vector<std::int32_t> untouched_layers;            ///< with experts, but not in the mapping
  std::uint64_t bytes_to_write() const;
};

/// Plans to renumber (or, with record.undoing, to undo it). With `resume`, goes on where an interrupted run of the same
/// permutation stopped. UsageError if `output` holds other things already, or an interrupted run (without resume);
/// DataError if a shard is damaged, its layout unknown, or a layer of the mapping is missing or incomplete.
CheckpointPermutation plan_permutation(const Checkpoint& source, const std::string& output,
                                       const PermutationRecord& record, bool resume);

/// Writes the files, each under a temporary name first; an interrupted run can be resumed. `written` is told the bytes
/// done so far. At the end stands gem_mapping.json, or is gone after undoing.
void carry_out(const CheckpointPermutation& permutation, const std::function<void(std::uint64_t)>& written);

/// Whether this permutation stands finished in `output`.
bool is_carried_out(const std::string& output, const PermutationRecord& record);

/// Removes what a finished run, killed at its very end, has left behind in `output`.
void sweep_up(const std::string& output);

}  // namespace gem
