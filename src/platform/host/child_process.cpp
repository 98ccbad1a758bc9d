#include "platform/host/child_process.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t longest_line = std::size_t{1} << 20;
constexpr std::size_t kept_error_lines = 8;
constexpr double time_to_end_s = 2.0;

struct Pipe {
  int read_end = -1, write_end = -1;
};

Pipe open_pipe() {
  int ends[2];
  // Closed on exec, so that no other child keeps an end open.
  if (pipe2(ends, O_CLOEXEC) != 0)
    throw SystemError(fmt::format("no pipe to another program can be opened: {}", std::strerror(errno)));
  return {ends[0], ends[1]};
}

// Between fork and exec: only what is safe there.
[[noreturn]] void become(const char* command, pid_t parent, int input, int output, int errors) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);  // it ended before the line above
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
  _exit(127);
}

// While it lives, writing to a closed pipe is an error instead of the end of this process.
class IgnoredPipeSignal {
 public:
  IgnoredPipeSignal() : before_(std::signal(SIGPIPE, SIG_IGN)) {}
  ~IgnoredPipeSignal() { std::signal(SIGPIPE, before_); }
  IgnoredPipeSignal(const IgnoredPipeSignal&) = delete;
  IgnoredPipeSignal& operator=(const IgnoredPipeSignal&) = delete;

 private:
  void (*before_)(int);
};

void close_end(int& end) {
  if (end >= 0) close(end);
  end = -1;
}

// What can be read now, at most a buffer's worth; empty at the end of the file.
std::string read_some(int from) {
  char buffer[4096];
  const ssize_t count = read(from, buffer, sizeof buffer);
  return {buffer, count > 0 ? static_cast<std::size_t>(count) : 0};
}

}  // namespace

ChildProcess::ChildProcess(const std::string& command) {
  Pipe input = open_pipe(), output = open_pipe(), errors = open_pipe();
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ == 0) become(command.c_str(), parent, input.read_end, output.write_end, errors.write_end);
  const int failure = errno;
  for (int* end : {&input.read_end, &output.write_end, &errors.write_end}) close_end(*end);
  input_ = input.write_end;
  output_ = output.read_end;
  errors_ = errors.read_end;
  if (process_ < 0) {
    for (int* end : {&input_, &output_, &errors_}) close_end(*end);
    throw SystemError(fmt::format("'{}' can't be started: {}", command, std::strerror(failure)));
  }
  setpgid(process_, process_);  // whoever comes first
}

ChildProcess::~ChildProcess() {
  close_end(input_);
  if (!wait_for_end(time_to_end_s)) {
    kill(-process_, SIGKILL);
    waitpid(process_, &status_, 0);
  }
  kill(-process_, SIGKILL);  // what it started and left
  close_end(output_);
  close_end(errors_);
}

bool ChildProcess::write_line(const std::string& line) {
  const IgnoredPipeSignal ignored;
  const std::string text = line + "\n";
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t count = write(input_, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    written += static_cast<std::size_t>(count);
  }
  return true;
}

ChildProcess::Reading ChildProcess::read_line(std::string& line, double patience_s) {
  const Clock::time_point begin = Clock::now();
  while (true) {
    if (const std::size_t end = read_.find('\n'); end != std::string::npos) {
      line = read_.substr(0, end);
      read_.erase(0, end + 1);
      return Reading::Line;
    }
    if (read_.size() > longest_line) return Reading::TooLong;
    const double left_s = patience_s - std::chrono::duration<double>(Clock::now() - begin).count();
    if (left_s <= 0.0) return Reading::TimedOut;
    pollfd ends[2] = {{output_, POLLIN, 0}, {errors_, POLLIN, 0}};
    poll(ends, 2, static_cast<int>(left_s * 1e3) + 1);
    if (ends[1].revents != 0) read_errors();
    if (ends[0].revents == 0) continue;
    const std::string more = read_some(output_);
    if (more.empty()) return Reading::Ended;
    read_ += more;
  }
}

void ChildProcess::read_errors() {
  const std::string more = read_some(errors_);
  if (more.empty()) return close_end(errors_);
  error_line_ += more;
  for (std::size_t end; (end = error_line_.find('\n')) != std::string::npos; error_line_.erase(0, end + 1))
    if (end > 0) error_lines_.push_back(error_line_.substr(0, end));
  while (error_lines_.size() > kept_error_lines) error_lines_.pop_front();
  if (error_line_.size() > longest_line) error_line_.clear();
}

std::string ChildProcess::last_words() const {
  std::vector<std::string> lines(error_lines_.begin(), error_lines_.end());
  if (!error_line_.empty()) lines.push_back(error_line_);
  return join(lines, " / ");
}

std::string ChildProcess::ending() {
  const bool ended = wait_for_end(time_to_end_s);
  pollfd end{errors_, POLLIN, 0};
  while (errors_ >= 0 && poll(&end, 1, 0) > 0) read_errors();
  if (!ended) return "still runs";
  if (WIFSIGNALED(status_)) return fmt::format("was killed by signal {}", WTERMSIG(status_));
  return fmt::format("exited with code {}", WEXITSTATUS(status_));
}

bool ChildProcess::wait_for_end(double patience_s) {
  const Clock::time_point begin = Clock::now();
  while (!ended_) {
    ended_ = waitpid(process_, &status_, WNOHANG) == process_;
    if (ended_ || std::chrono::duration<double>(Clock::now() - begin).count() > patience_s) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return ended_;
}

}  // namespace gem
