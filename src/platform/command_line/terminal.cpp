#include "platform/command_line/terminal.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/text.hpp"

namespace gem {
namespace {

bool is_launcher(long process) {
  constexpr std::array<const char*, 4> launchers{"mpirun", "mpiexec", "orterun", "prterun"};
  std::ifstream file(fmt::format("/proc/{}/comm", process));
  std::string name;
  return std::getline(file, name) && std::ranges::find(launchers, name) != launchers.end();
}

}  // namespace

bool is_shown_on_terminal(int descriptor) {
  // The launcher passes output on: it gives its ranks a terminal as standard output, even if its own is a file, and a
  // pipe for errors, even if its own is a terminal.
  const long parent = getppid();
  if (!is_launcher(parent)) return isatty(descriptor) != 0;
  std::error_code error;  // a launcher of another user: not known, so no terminal
  const std::string shown = std::filesystem::read_symlink(fmt::format("/proc/{}/fd/{}", parent, descriptor), error);
  return shown.starts_with("/dev/pts/") || shown.starts_with("/dev/tty");
}

}  // namespace gem
