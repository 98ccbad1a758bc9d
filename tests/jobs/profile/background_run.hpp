#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace gem {

/// A program that runs while the test goes on, to be killed in the middle. What it prints goes to `log`.
class BackgroundRun {
 public:
  BackgroundRun(const std::string& command, const std::string& log) {
    process_ = fork();
    if (process_ < 0) throw std::runtime_error("cannot start: " + command);
    if (process_ > 0) return;
    const int file = open(log.c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    dup2(file, STDERR_FILENO);
    const std::string line = "exec " + command;
    execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
    _exit(127);
  }
  ~BackgroundRun() {
    if (!ended_) kill_all();
  }
  BackgroundRun(const BackgroundRun&) = delete;
  BackgroundRun& operator=(const BackgroundRun&) = delete;

  /// Processes that this one has started: the ranks, if it is a launcher. Oldest first.
  std::vector<pid_t> children() const {
    std::vector<pid_t> found;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string name = entry.path().filename();
      if (name.find_first_not_of("0123456789") != std::string::npos) continue;
      std::ostringstream content;
      content << std::ifstream(entry.path() / "stat").rdbuf();
      const std::string stat = content.str();  // "pid (name) state parent ..."
      std::istringstream rest(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
      std::string state;
      pid_t parent = 0;
      if (rest >> state >> parent && parent == process_) found.push_back(std::stoi(name));
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  pid_t process() const { return process_; }

  /// kill -9 to the ranks and their launcher.
  void kill_all() {
    std::vector<pid_t> all = children();
    all.push_back(process_);
    for (pid_t process : all) kill(process, SIGKILL);
    waitpid(process_, nullptr, 0);
    ended_ = true;
  }

  /// Exit code, or 128 + the signal; -1 if it is still running after `patience_s`.
  int wait(double patience_s) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_s);
    int status = 0;
    while (waitpid(process_, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > end) return -1;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ended_ = true;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

  bool is_running() { return kill(process_, 0) == 0 && wait(0.0) == -1; }

 private:
  pid_t process_ = -1;
  bool ended_ = false;
};

}  // namespace gem
