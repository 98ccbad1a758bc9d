#pragma once

namespace gem {

/// Whether a user sees on a terminal what this process writes to a descriptor (STDOUT_FILENO, STDERR_FILENO). Behind
/// Open MPI's mpirun on this host it is the launcher's own descriptor that counts.
bool is_shown_on_terminal(int descriptor);

}  // namespace gem
