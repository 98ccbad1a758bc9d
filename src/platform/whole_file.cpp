#include "platform/whole_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/error.hpp"
#include "base/text.hpp"

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

/// A file under its temporary name; removed unless it got its real one.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& path)
      : path_(path),
        temporary_path_(path + format(".%ld.tmp", static_cast<long>(getpid()))),
        descriptor_(open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
    if (descriptor_ < 0) throw_write_error(path_, errno);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!renamed_) unlink(temporary_path_.c_str());
  }

  void write(std::span<const std::byte> bytes) { write_all(descriptor_, bytes, path_); }

  /// Quota and network file systems report a full disk as late as here.
  void synchronize_and_close() {
    if (fsync(descriptor_) != 0) throw_write_error(path_, errno);
    const int status = close(descriptor_);
    descriptor_ = -1;
    if (status != 0) throw_write_error(path_, errno);
  }

  void rename_to_final() {
    if (rename(temporary_path_.c_str(), path_.c_str()) != 0) throw_write_error(path_, errno);
    renamed_ = true;
  }

 private:
  std::string path_;
  std::string temporary_path_;
  int descriptor_;
  bool renamed_ = false;
};

}  // namespace

void write_whole_file(const std::string& path, std::span<const std::byte> bytes) {
  // Renaming over a device node or a pipe would destroy it.
  std::error_code ignored;
  const std::filesystem::file_status present = std::filesystem::status(path, ignored);
  if (std::filesystem::is_directory(present)) throw_write_error(path, EISDIR);
  if (std::filesystem::exists(present) && !std::filesystem::is_regular_file(present))
    throw SystemError(format("cannot write %s: it is not a regular file; give the name of a file", path.c_str()));
  TemporaryFile file(path);
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
  throw SystemError(
      format("cannot write %s: %s; %s", path.c_str(), std::strerror(error_number), remedy_of(error_number)));
}

}  // namespace gem
