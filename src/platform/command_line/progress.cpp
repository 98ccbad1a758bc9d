#include "platform/command_line/progress.hpp"

#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdio>

#include "base/quoting.hpp"
#include "base/text.hpp"
#include "platform/command_line/terminal.hpp"

namespace gem {
namespace {

std::size_t terminal_width() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::string task, std::size_t total, bool shown)
    : task_(std::move(task)),
      total_(total),
      shown_(shown && is_shown_on_terminal(STDERR_FILENO)),
      begin_(std::chrono::steady_clock::now()),
      last_draw_() {}

Progress::~Progress() {
  if (shown_) std::fputs("\r\033[K", stderr);
}

void Progress::update(std::size_t done, const std::string& note) {
  const auto now = std::chrono::steady_clock::now();
  if (!shown_ || now - last_draw_ < std::chrono::milliseconds(100)) return;
  last_draw_ = now;
  const double elapsed = std::chrono::duration<double>(now - begin_).count();
  std::string line = fmt::format("{} {}/{} ({} %)", task_, done, total_, total_ == 0 ? 100 : 100 * done / total_);
  if (done > 0)
    line += ", " + format_duration(elapsed * static_cast<double>(total_ - done) / static_cast<double>(done)) + " left";
  if (!note.empty()) line += "  " + note;
  std::fprintf(stderr, "\r\033[K%s", printable(line.substr(0, terminal_width() - 1), false).c_str());
  std::fflush(stderr);
}

}  // namespace gem
