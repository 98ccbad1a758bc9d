#include "platform/file_system/whole_file.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/temporary_file.hpp"

namespace gem {
namespace {

const char* remedy_of(int error_number) {
  switch (error_number) {
    case ENOSPC:
    case EDQUOT:
      return "free some space or choose another place for the output";
    case EFBIG:
      return "raise the limit on file size (ulimit -f) or choose another place for the output";
    case ENOENT:
    case ENOTDIR:
      return "make the directory first";
    case EISDIR:
      return "give the name of a file";
    default:
      return "choose another place for the output";
  }
}

// Renaming over a device node or a pipe would destroy it.
void expect_regular_file_or_none(const std::string& path) {
  std::error_code ignored;
  const std::filesystem::file_status present = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(present)) throw_write_error(path, EISDIR);
  if (std::filesystem::exists(present) && !std::filesystem::is_regular_file(present))
    throw SystemError(fmt::format("cannot write {}: it is not a regular file; give the name of a file", path));
}

std::string temporary_suffix() {
  return fmt::format(".{}.tmp", static_cast<long>(getpid()));
}

}  // namespace

void write_whole_text(const std::string& path, const std::string& text) {
  write_whole_file(path, std::as_bytes(std::span(text)));
}

void make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    throw SystemError("cannot make the directory " + path + ": " + error.message() +
                      "; choose another place for the output");
}

void expect_writable(const std::string& path) {
  expect_regular_file_or_none(path);
  const TemporaryFile probe(path, temporary_suffix());
}

void keep_input(const std::string& input, const std::string& output) {
  std::error_code ignored;  // a file that does not exist is not the same as any other
  if (input == output || std::filesystem::equivalent(input, output, ignored))
    throw UsageError("writing " + output + " would destroy the file that is read; choose another name");
}

void write_whole_file(const std::string& path, std::span<const std::byte> bytes) {
  expect_regular_file_or_none(path);
  TemporaryFile file(path, temporary_suffix());
  file.write(bytes);
  file.synchronize_and_close();
  file.rename_to_final();
}

void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_write_error(path, errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void throw_write_error(const std::string& path, int error_number) {
  throw SystemError(fmt::format("cannot write {}: {}; {}", path, std::strerror(error_number), remedy_of(error_number)));
}

}  // namespace gem
