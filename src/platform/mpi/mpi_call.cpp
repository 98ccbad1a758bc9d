#include "platform/mpi/mpi_call.hpp"

#include <fmt/core.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstring>
#include <string>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {
namespace {

constexpr int looks_in_patience = 4;

// What the handler of the timer reads, on whatever thread it comes. One thread calls MPI.
char end_message[512] = "";
std::atomic<int> open_calls{0};
std::atomic<unsigned> changes{0};  // calls that began or ended
static_assert(std::atomic<int>::is_always_lock_free);

bool is_watching = false;

void note_change(int opened) {
  open_calls.fetch_add(opened, std::memory_order_relaxed);
  changes.fetch_add(1, std::memory_order_relaxed);
}

void end_by_alarm() {
  const ssize_t ignored = write(STDERR_FILENO, end_message, std::strlen(end_message));
  static_cast<void>(ignored);
  _exit(static_cast<int>(ExitCode::System));
}

/// Counts looks, and not time: of a process that was stopped itself, and goes on, only one look comes late.
void look(int) {
  static std::atomic<unsigned> changes_before{0};
  static std::atomic<int> looks{0};
  const bool is_in_same_call = open_calls > 0 && changes == changes_before;
  looks = is_in_same_call ? looks + 1 : 0;
  changes_before = changes.load();
  if (looks >= looks_in_patience) end_by_alarm();
}

/// No alarm comes without an interval.
void set_timer(double interval_s) {
  itimerval timer{};
  timer.it_value.tv_sec = static_cast<time_t>(interval_s);
  timer.it_value.tv_usec = static_cast<suseconds_t>((interval_s - static_cast<double>(timer.it_value.tv_sec)) * 1e6);
  timer.it_interval = timer.it_value;
  setitimer(ITIMER_REAL, &timer, nullptr);
}

void begin_looks(const char* call) {
  const std::string text = fmt::format(
      "{} took longer than {}: another rank was stopped or hangs. Look at the logs of all ranks; if the "
      "machine is only slow, give a longer {}\n",
      call, format_duration(patience().limit_s), on_command_line("patience"));
  set_timer(0.0);
  std::strncpy(end_message, text.c_str(), sizeof end_message - 1);
  std::signal(SIGALRM, look);
  set_timer(patience().limit_s / looks_in_patience);
}

}  // namespace

MpiCall::MpiCall() {
  note_change(1);
}

MpiCall::~MpiCall() {
  note_change(-1);
}

void watch_calls(bool watching) {
  is_watching = watching;
  if (watching)
    begin_looks("a call of MPI");
  else
    set_timer(0.0);
}

BlockingCall::BlockingCall(const char* call) {
  note_change(1);
  begin_looks(call);
}

BlockingCall::~BlockingCall() {
  note_change(-1);
  watch_calls(is_watching);
}

void end_all_ranks(int code) {
  constexpr double most_s = 10.0;  // a launcher that has died takes no message
  std::signal(SIGALRM, [](int) { _exit(static_cast<int>(ExitCode::System)); });
  set_timer(most_s);
  if (mpi_has_started()) MPI_Abort(MPI_COMM_WORLD, code);
  _exit(code);
}

}  // namespace gem
