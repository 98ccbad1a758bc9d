#include "platform/command_line/program.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "base/failure.hpp"
#include "base/text.hpp"
#include "platform/command_line/command_line.hpp"
#include "platform/command_line/printable_output.hpp"
#include "platform/command_line/terminal.hpp"
#include "platform/mpi/launch.hpp"
#include "platform/mpi/mpi_call.hpp"

namespace gem {
namespace {

// Written before a handler can run, read only by it.
char termination_message[1024] = "";

void end_by_signal(int) {
  const ssize_t ignored = write(STDERR_FILENO, termination_message, std::strlen(termination_message));
  static_cast<void>(ignored);
  _exit(static_cast<int>(ExitCode::System));
}

// Of ranks that have nothing to say: mpirun kills all that are left as soon as the first has ended, before rank 0 has
// said a word where the machine is busy. After a second it kills them anyway.
void end_after_the_first(int) {
  constexpr int patience_ms = 900;
  static_cast<void>(poll(nullptr, 0, patience_ms));
  _exit(static_cast<int>(ExitCode::System));
}

volatile std::sig_atomic_t user_signal_came = 0;

void note_user_signal(int) {
  user_signal_came = 1;
}

// Sentences are one line each in files, for grep; a terminal breaks them between words.
std::size_t width_of(int stream) {
  constexpr std::size_t widest = 80;
  return is_shown_on_terminal(stream) ? std::min(widest, terminal_size(stream).columns) : 0;
}

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

// What holds of any program until it says more (set_termination_message): files are renamed when whole.
void expect_to_be_ended(const Arguments& arguments) {
  set_termination_message(base_name(arguments.empty() ? "gem" : arguments[0]) +
                          ": ended from outside; what was not finished is not written, and files that were there are "
                          "as they were: start again");
}

// What ends the program from now on finds nothing unfinished.
void expect_no_end() {
  for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, SIG_DFL);
}

// What was printed is lost without a word otherwise.
void flush_standard_output() {
  std::cout.flush();
  if (!std::cout) throw SystemError("standard output could not be written (is the disk full?)");
}

int report(const Arguments& arguments, const Failure& failure) {
  std::cout.flush();
  const std::string name = base_name(arguments.empty() ? "gem" : arguments[0]);
  const bool named = failure.message.starts_with(name);
  std::cerr << (named ? "" : name + ": ") << failure.message << "\n";
  return static_cast<int>(failure.code);
}

// A file beyond the limit on file size (ulimit -f) then fails to grow, with a sentence, instead of ending us.
void survive_file_size_limit() {
  std::signal(SIGXFSZ, SIG_IGN);
}

// True on the rank that speaks before MPI has started: launchers number the processes in the environment.
bool is_first_process() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"})
    if (const char* rank = std::getenv(name)) return std::strcmp(rank, "0") == 0;
  return true;
}

}  // namespace

int run_serial_program(int argc, char** argv, const std::function<int(const Arguments&)>& body) {
  const Arguments arguments(argv, argv + argc);
  const PrintableOutput output(std::cout, width_of(STDOUT_FILENO)), errors(std::cerr, width_of(STDERR_FILENO));
  survive_file_size_limit();
  expect_to_be_ended(arguments);
  try {
    const int code = body(arguments);
    expect_no_end();
    flush_standard_output();
    return code;
  } catch (...) {
    return report(arguments, current_failure());
  }
}

int run_mpi_program(int argc, char** argv, const std::function<bool(const Arguments&)>& parse,
                    const std::function<int(const Communicator&, const Arguments&)>& body) {
  const Arguments arguments(argv, argv + argc);
  const PrintableOutput output(std::cout, width_of(STDOUT_FILENO)), errors(std::cerr, width_of(STDERR_FILENO));
  const auto fail_before_start = [&](const Failure& failure) {
    return is_first_process() ? report(arguments, failure) : static_cast<int>(failure.code);
  };
  try {
    if (!is_first_process()) std::cout.setstate(std::ios::failbit);  // --help and --version once, not once a rank
    const bool go_on = parse(arguments);
    std::cout.clear();
    if (!go_on) return static_cast<int>(ExitCode::Good);
  } catch (...) {
    return fail_before_start(current_failure());
  }

  survive_file_size_limit();
  MpiEnvironment environment(argc, argv);
  const Communicator world = Communicator::world();
  const Launch launch = launch_of([](const char* name) { return std::getenv(name); });
  try {
    expect_all_tasks(launch, static_cast<std::size_t>(world.size()));
  } catch (...) {
    return fail_before_start(current_failure());
  }
  try {
    if (world.is_root())
      expect_to_be_ended(arguments);
    else
      for (const int signal : {SIGTERM, SIGINT}) std::signal(signal, end_after_the_first);
    const int result = body(world, arguments);
    // All is written: who is ended now, by a launcher that sees a negative verdict, has nothing more to say.
    expect_no_end();
    flush_standard_output();
    const std::string about =
        result == static_cast<int>(ExitCode::NegativeVerdict) ? about_negative_verdict(launch) : "";
    if (world.is_root() && !about.empty()) std::cerr << about << "\n";
    return result;
  } catch (const AgreedError& error) {
    std::signal(SIGTERM, SIG_DFL);  // what a launcher sends once the first rank has ended with an error
    return world.is_root() ? report(arguments, {error.code(), error.what()}) : static_cast<int>(error.code());
  } catch (...) {
    const Failure failure = current_failure();
    report(arguments, failure);
    if (world.size() > 1) end_all_ranks(static_cast<int>(failure.code));
    return static_cast<int>(failure.code);
  }
}

void set_termination_message(const std::string& message) {
  const std::size_t width = width_of(STDERR_FILENO);
  // On a terminal a line of progress may stand there.
  const std::string line = (width > 0 ? "\r\033[K" + wrap(message, width) : message) + "\n";
  std::strncpy(termination_message, line.c_str(), sizeof termination_message - 1);
  std::signal(SIGTERM, end_by_signal);
  std::signal(SIGINT, end_by_signal);
}

void stop_at_user_signal() {
  std::signal(SIGUSR1, note_user_signal);
}

bool stop_requested() {
  return user_signal_came != 0;
}

}  // namespace gem
