#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace gem {

/// One line of progress with time left, rewritten in place on standard error. Silent unless that is a terminal, so that
/// logs stay clean.
class Progress {
 public:
  /// `shown` false keeps it silent (other ranks, --quiet).
  Progress(std::string task, std::size_t total, bool shown);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `done` of the total are finished; `note` says what is under way. Draws at most ten times a second.
  void update(std::size_t done, const std::string& note = "");

 private:
  std::string task_;
  std::size_t total_;
  bool shown_;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point last_draw_;
};

}  // namespace gem
