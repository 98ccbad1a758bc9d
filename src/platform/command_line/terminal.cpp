#include "platform/command_line/terminal.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
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

TerminalSize terminal_size(int descriptor) {
  winsize size{};
  const long parent = getppid();
  if (is_launcher(parent)) {  // whose pseudo-terminal has no size: the launcher's own counts
    const int opened = open(fmt::format("/proc/{}/fd/{}", parent, descriptor).c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC);
    if (opened >= 0) {
      ioctl(opened, TIOCGWINSZ, &size);
      close(opened);
    }
  } else {
    ioctl(descriptor, TIOCGWINSZ, &size);
  }
  const TerminalSize usual;
  return {size.ws_row > 0 ? size.ws_row : usual.rows, size.ws_col > 0 ? size.ws_col : usual.columns};
}

std::string with_coloured_verdict(const std::string& text, int descriptor) {
  const std::string mark = "VERDICT: ";
  const std::size_t at = text.find(mark), begin = at + mark.size(), end = text.find(" - ", begin);
  const char* const no_color = std::getenv("NO_COLOR");
  const bool plain = no_color != nullptr && *no_color != '\0';
  if (at == std::string::npos || end == std::string::npos || plain || !is_shown_on_terminal(descriptor)) return text;
  const std::string words = text.substr(begin, end - begin);
  const char* const code = words.starts_with("NOT ") ? "33" : words == "SLOWER" || words == "WRONG" ? "31" : "32";
  return text.substr(0, begin) + fmt::format("\033[1;{}m{}\033[0m", code, words) + text.substr(end);
}

}  // namespace gem
