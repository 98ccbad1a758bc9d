#include "platform/command_line/result_output.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iostream>

#include "base/error.hpp"
#include "platform/command_line/csv_tables.hpp"
#include "platform/command_line/version.hpp"
#include "platform/file_system/kept_outputs.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

int descriptor = -1;
std::string program_name;
ResultForm result_form = ResultForm::Json;

std::string text_of(const JsonRecord& result) {
  if (result_form == ResultForm::Csv) return csv_tables(JsonDocument::parse(result.text(), program_name).root());
  return JsonRecord().add("program", program_name).add("version", software_version()).add_all(result).text() + "\n";
}

}  // namespace

void keep_output_for_result(const std::string& program, ResultForm form) {
  program_name = program;
  result_form = form;
  std::cout.flush();
  std::fflush(stdout);
  descriptor = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
  if (descriptor < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
    throw SystemError(std::string("standard output can't be kept for the result: ") + std::strerror(errno));
  kept_outputs().push_back(descriptor);
}

void print_result(const JsonRecord& result) {
  // Before MPI has started all ranks run, and those that are to be silent have their stream failed.
  if (descriptor < 0 || !std::cout) return;
  const std::string text = text_of(result);
  for (std::size_t written = 0; written < text.size();) {
    const ssize_t count = write(descriptor, text.data() + written, text.size() - written);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) throw SystemError("standard output could not be written (is the disk full?)");
    written += static_cast<std::size_t>(count);
  }
}

}  // namespace gem
