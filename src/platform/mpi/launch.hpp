#pragma once

#include <functional>
#include <string>

namespace gem {

/// What the environment says of how this process was started.
struct Launch {
  std::size_t task_count = 0;  ///< processes that were started together; 0: not known
  std::string starter;         ///< whose word that is: "srun", "mpirun"
  bool is_quiet = false;       ///< whether the starter leaves out its own words on how processes ended
};

/// `value_of` gives a variable of the environment, or a null pointer.
Launch launch_of(const std::function<const char*(const char* name)>& value_of);

/// Whether nothing in the environment tells of a starter, of whatever MPI, that may have started further processes.
bool is_started_alone(const std::function<const char*(const char* name)>& value_of);

/// UsageError with the remedy if MPI sees fewer ranks than were started: then each believes to be alone, works on the
/// first GPU and writes the same file.
void expect_all_tasks(const Launch& launch, std::size_t rank_count);

/// A sentence for the end of a program with a negative verdict: that what its starter says next of an exit code of 1 is
/// no failure. Empty where nothing is said next.
std::string about_negative_verdict(const Launch& launch);

}  // namespace gem
