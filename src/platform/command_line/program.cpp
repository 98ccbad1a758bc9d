#include "platform/command_line/program.hpp"

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <optional>

#include "base/error.hpp"
#include "platform/command_line/command_line.hpp"

namespace gem {
namespace {

// Written before a handler can run, read only by it.
char termination_message[1024] = "";

void end_by_signal(int) {
  const ssize_t ignored = write(STDERR_FILENO, termination_message, std::strlen(termination_message));
  static_cast<void>(ignored);
  _exit(static_cast<int>(ExitCode::System));
}

volatile std::sig_atomic_t user_signal_came = 0;

void note_user_signal(int) {
  user_signal_came = 1;
}

std::string base_name(const std::string& path) {
  return path.substr(path.find_last_of('/') + 1);
}

// What was printed is lost without a word otherwise.
void flush_standard_output() {
  std::cout.flush();
  if (!std::cout) throw SystemError("standard output could not be written (is the disk full?)");
}

int report(const Arguments& arguments, const std::string& message, ExitCode code) {
  std::cout.flush();
  const std::string name = base_name(arguments.empty() ? "gem" : arguments[0]);
  const bool named = message.rfind(name, 0) == 0;
  std::cerr << (named ? "" : name + ": ") << message << "\n";
  return static_cast<int>(code);
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
  survive_file_size_limit();
  try {
    const int code = body(arguments);
    flush_standard_output();
    return code;
  } catch (const Error& error) {
    return report(arguments, error.what(), error.code());
  } catch (const std::bad_alloc&) {
    return report(arguments, "out of memory", ExitCode::System);
  } catch (const std::exception& error) {
    return report(arguments, std::string("internal error: ") + error.what(), ExitCode::System);
  }
}

int run_mpi_program(int argc, char** argv, const std::function<bool(const Arguments&)>& parse,
                    const std::function<int(const Communicator&, const Arguments&)>& body) {
  const Arguments arguments(argv, argv + argc);
  const auto speak = [&](const std::string& message, ExitCode code) {
    return is_first_process() ? report(arguments, message, code) : static_cast<int>(code);
  };
  try {
    if (!is_first_process()) std::cout.setstate(std::ios::failbit);  // --help and --version once, not once a rank
    const bool go_on = parse(arguments);
    std::cout.clear();
    if (!go_on) return static_cast<int>(ExitCode::Good);
  } catch (const Error& error) {
    return speak(error.what(), error.code());
  }

  survive_file_size_limit();
  MpiEnvironment environment(argc, argv);
  const Communicator world = Communicator::world();
  ExitCode code = ExitCode::System;
  std::string message;
  try {
    const int result = body(world, arguments);
    flush_standard_output();
    return result;
  } catch (const AgreedError& error) {
    std::signal(SIGTERM, SIG_DFL);  // what a launcher sends once the first rank has ended with an error
    return world.is_root() ? report(arguments, error.what(), error.code()) : static_cast<int>(error.code());
  } catch (const Error& error) {
    code = error.code();
    message = error.what();
  } catch (const std::bad_alloc&) {
    message = "out of memory";
  } catch (const std::exception& error) {
    message = std::string("internal error: ") + error.what();
  }
  report(arguments, message, code);
  if (world.size() > 1) MPI_Abort(MPI_COMM_WORLD, static_cast<int>(code));
  return static_cast<int>(code);
}

void set_termination_message(const std::string& message) {
  const std::string line = message + "\n";
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
