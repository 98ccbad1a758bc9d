#include "platform/file_system/input_file.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

// Without waiting, or a pipe would hold us until somebody writes to it.
InputFile::InputFile(const std::string& path)
    : path_(path), descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {
  if (descriptor_ < 0 && (errno == ENOENT || errno == ENOTDIR)) reject("there is no such file; check the name");
  if (descriptor_ < 0)
    throw SystemError(fmt::format("cannot read {}: {}; check {}", path, std::strerror(errno),
                                  errno == ENAMETOOLONG ? "the name" : "its permissions"));
  struct stat status {};
  if (fstat(descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(descriptor_);
    reject(S_ISDIR(status.st_mode) ? "is a directory; give the name of a file" : "is not a regular file; give a file");
  }
  version_ = {status.st_dev, status.st_ino, static_cast<std::uint64_t>(status.st_size), status.st_mtim.tv_sec,
              status.st_mtim.tv_nsec};
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)), version_(other.version_) {}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw SystemError(fmt::format("cannot read {}: {}", path_, std::strerror(errno)));
    if (count == 0) reject("ends too early; it is truncated, copy or make it again");
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

std::string InputFile::read_text(std::uint64_t offset, std::size_t byte_count) const {
  std::string text(byte_count, '\0');
  read_at(offset, std::as_writable_bytes(std::span(text)));
  return text;
}

void InputFile::reject(const std::string& what) const {
  throw DataError(path_ + ": " + what);
}

std::string read_whole_text(const std::string& path, std::uint64_t most_bytes) {
  const InputFile file(path);
  if (file.size() > most_bytes)
    file.reject(fmt::format("has {}, but at most {} are read as one text",
                            format_bytes(static_cast<double>(file.size())),
                            format_bytes(static_cast<double>(most_bytes))));
  return file.read_text(0, static_cast<std::size_t>(file.size()));
}

std::vector<std::byte> read_whole_file(const std::string& path) {
  const InputFile file(path);
  std::vector<std::byte> bytes(static_cast<std::size_t>(file.size()));
  file.read_at(0, bytes);
  return bytes;
}

}  // namespace gem
