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
    case ENAMETOOLONG:
      return "give a shorter name";
    case EROFS:
      return "the file system can only be read; choose another place for the output";
    case EACCES:
    case EPERM:
      return "look at the permissions of the file and its directory, or choose another place for the output";
    default:
      return "choose another place for the output";
  }
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
  const TemporaryFile probe(path);
}

void write_whole_file(const std::string& path, std::span<const std::byte> bytes) {
  TemporaryFile file(path);
  file.write(bytes);
  file.synchronize();
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
