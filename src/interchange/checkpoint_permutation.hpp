#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "interchange/checkpoint.hpp"
#include "interchange/permutation_record.hpp"
#include "interchange/shard_plan.hpp"
#include "platform/file_system/file_lock.hpp"

namespace gem {

/// How a directory stands to permutations.
enum class PermutationStanding {
  Plain,       ///< no permutation, or all undone
  Permuted,    ///< gem_mapping.json says by what
  Unfinished,  ///< a run was interrupted, or is under way: some files may be renumbered, others not
  Lost,        ///< the same, and the record of the run is gone
};
PermutationStanding standing_of(const std::string& directory);

/// The record of a permuted directory, or of an unfinished run in it.
PermutationRecord read_record_of(const std::string& directory);

/// While it lives, no other run writes to the directory.
class PermutationLock {
 public:
  /// Makes the directory if need be. UsageError saying who holds it, if it is taken.
  explicit PermutationLock(const std::string& directory);
  ~PermutationLock();
  PermutationLock(const PermutationLock&) = delete;
  PermutationLock& operator=(const PermutationLock&) = delete;

 private:
  std::string path_;
  FileLock lock_;
};

/// What is to be done to a checkpoint, file by file.
struct CheckpointPermutation {
  Checkpoint source;
  std::string output;  ///< directory; the source's own for a permutation in place
  bool in_place = false;
  bool resumed = false;  ///< goes on with an interrupted run
  PermutationRecord record;
  std::vector<std::pair<std::string, ShardPlan>> files;  ///< still to be written, by name
  std::size_t finished_files = 0;                        ///< written by a run before
  std::vector<std::string> notes;                        ///< sentences for the user
  std::uint64_t bytes_to_write() const;
};

/// Plans to renumber (or, with record.undoing, to undo it). With `resume`, goes on where an interrupted run of the same
/// permutation stopped. UsageError if `output` holds other things already, or an interrupted run (without resume);
/// DataError if a file is damaged or missing, its layout unknown, or a layer of the mapping is missing or incomplete.
CheckpointPermutation plan_permutation(const Checkpoint& source, const std::string& output,
                                       const PermutationRecord& record, bool resume);

/// Writes the files, each under a temporary name first; an interrupted run can be resumed. `written` is told the bytes
/// done so far. At the end stands gem_mapping.json, or is gone after undoing. UsageError if another run has written to
/// the output since the plan was made, DataError if something has written to the source.
void carry_out(const CheckpointPermutation& permutation, const std::function<void(std::uint64_t)>& written);

/// Whether this permutation stands finished in `output`, of layers with fewer experts too; of an undoing, whether
/// `output` holds every file of `source` in its size before.
bool is_carried_out(const Checkpoint& source, const std::string& output, const PermutationRecord& record);

/// Removes what a finished run, killed at its very end, has left behind in `output`.
void sweep_up(const std::string& output);

}  // namespace gem
