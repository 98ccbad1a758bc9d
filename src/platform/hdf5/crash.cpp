#include "platform/hdf5/crash.hpp"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>

#include "base/error.hpp"

namespace gem::hdf5 {
namespace {

constexpr std::array crashes{SIGSEGV, SIGBUS, SIGFPE, SIGABRT};

// Read by the handler.
const char* volatile file_being_read = nullptr;
std::array<struct sigaction, crashes.size()> previous;

void say(const char* text) {
  const ssize_t ignored = write(STDERR_FILENO, text, std::strlen(text));
  static_cast<void>(ignored);
}

void end_by_crash(int signal) {
  if (const char* path = file_being_read) {
    say(path);
    say(": is damaged (the HDF5 library crashed on it); copy or make it again\n");
    _exit(static_cast<int>(ExitCode::BadData));
  }
  for (std::size_t i = 0; i < crashes.size(); ++i)
    if (crashes[i] == signal) sigaction(signal, &previous[i], nullptr);
  raise(signal);  // comes when this handler returns
}

/// The handler has a stack of its own: endless recursion is a crash too.
bool install() {
  alignas(16) static std::array<char, 1 << 16> stack;
  const stack_t own{.ss_sp = stack.data(), .ss_flags = 0, .ss_size = stack.size()};
  sigaltstack(&own, nullptr);
  struct sigaction action {};
  action.sa_handler = end_by_crash;
  action.sa_flags = SA_ONSTACK;
  for (std::size_t i = 0; i < crashes.size(); ++i) sigaction(crashes[i], &action, &previous[i]);
  return true;
}

}  // namespace

CrashSentence::CrashSentence(const std::string& path) : outer_(file_being_read) {
  static const bool installed = install();
  static_cast<void>(installed);
  file_being_read = path.c_str();
}

CrashSentence::~CrashSentence() {
  file_being_read = outer_;
}

}  // namespace gem::hdf5
