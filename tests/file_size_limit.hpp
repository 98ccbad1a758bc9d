#pragma once

#include <sys/resource.h>

#include <csignal>

namespace gem::test {

/// Lets no file grow beyond some bytes: a full disk for which one needs no disk.
class FileSizeLimit {
 public:
  /// `action`: what becomes of a process that goes beyond it.
  explicit FileSizeLimit(rlim_t bytes, void (*action)(int) = SIG_IGN) {
    previous_action_ = std::signal(SIGXFSZ, action);
    getrlimit(RLIMIT_FSIZE, &previous_);
    rlimit limit = previous_;
    limit.rlim_cur = bytes;
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    setrlimit(RLIMIT_FSIZE, &previous_);
    std::signal(SIGXFSZ, previous_action_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit previous_{};
  void (*previous_action_)(int);
};

}  // namespace gem::test
