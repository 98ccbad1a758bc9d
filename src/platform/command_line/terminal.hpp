#pragma once

#include <cstddef>
#include <string>

namespace gem {

/// Whether a user sees on a terminal what this process writes to a descriptor (STDOUT_FILENO, STDERR_FILENO). Behind
/// Open MPI's mpirun on this host it is the launcher's own descriptor that counts.
bool is_shown_on_terminal(int descriptor);

/// Rows and columns of the terminal that shows a descriptor; 24 and 80 where that isn't known.
struct TerminalSize {
  std::size_t rows = 24;
  std::size_t columns = 80;
};
TerminalSize terminal_size(int descriptor);

/// The text with the words after "VERDICT: " in a colour: green for good news, yellow for what isn't proven, red for
/// bad; on a terminal and unless NO_COLOR is set, else the text as it is.
std::string with_coloured_verdict(const std::string& text, int descriptor);

}  // namespace gem
