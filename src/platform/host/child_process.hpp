#pragma once

#include <sys/types.h>

#include <deque>
#include <string>

namespace gem {

/// Another program that lines are exchanged with over pipes, one at a time. It ends with this object: its input ends
/// first, and what then stays is killed with all that it started. It ends with this process too, however that ends:
/// the system kills it (PR_SET_PDEATHSIG), and its input ends.
class ChildProcess {
 public:
  /// Starts a command of the shell. SystemError where no process can be had.
  explicit ChildProcess(const std::string& command);
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// False if it reads no more.
  bool write_line(const std::string& line);

  enum class Reading { Line, Ended, TooLong, TimedOut };
  /// Waits for a line of its output, `patience_s` seconds at most; the line comes without its end. A line of more than
  /// a MiB is too long.
  Reading read_line(std::string& line, double patience_s);

  /// The last lines of its standard error, joined by " / "; empty where it wrote none.
  std::string last_words() const;

  /// How it ended, "exited with code 1" or "was killed by signal 9", after waiting for it a little; "still runs" if it
  /// doesn't end.
  std::string ending();

  pid_t id() const { return process_; }

 private:
  void read_errors();
  bool wait_for_end(double patience_s);

  pid_t process_ = -1;
  int input_ = -1, output_ = -1, errors_ = -1;  // this side's ends
  int status_ = 0;
  bool ended_ = false;
  std::string read_;        // of the output, not yet a line
  std::string error_line_;  // of the errors, likewise
  std::deque<std::string> error_lines_;
};

}  // namespace gem
