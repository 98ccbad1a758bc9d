#include "platform/command_line/json_output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/error.hpp"
#include "platform/command_line/version.hpp"
#include "platform/file_system/kept_outputs.hpp"

namespace gem {
namespace {

int descriptor = -1;
std::string program_name;

}  // namespace

void keep_output_for_json(const std::string& program) {
  program_name = program;
  std::cout.flush();
  std::fflush(stdout);
  descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (descriptor < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw SystemError(std::string("standard output can't be kept for JSON: ") + std::strerror(errno));
  kept_outputs().push_back(descriptor);
}

void print_json(const JsonRecord& result) {
  // Before MPI has started all ranks run, and those that are to be silent have their stream failed.
  if (descriptor < 0 || !std::cout) return;
  const JsonRecord whole = JsonRecord().add("program", program_name).add("version", software_version()).add_all(result);
  const std::string line = whole.text() + "\n";
  for (std::size_t written = 0; written < line.size();) {
    const ssize_t count = write(descriptor, line.data() + written, line.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw SystemError("standard output could not be written (is the disk full?)");
    written += static_cast<std::size_t>(count);
  }
}

}  // namespace gem
