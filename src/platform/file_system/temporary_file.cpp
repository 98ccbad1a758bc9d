#include "platform/file_system/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "platform/file_system/whole_file.hpp"

namespace gem {
namespace {

// Stays in a core's cache: faster than larger ones, and than copy_file_range, wherever the file system cannot share
// blocks between files (ext4: 1.4 times).
constexpr std::size_t buffer_bytes = std::size_t{256} << 10;

}  // namespace

TemporaryFile::TemporaryFile(const std::string& path, const std::string& suffix)
    : path_(path),
      temporary_path_(path + suffix),
      descriptor_(open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw_write_error(path_, errno);
}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) close(descriptor_);
  if (!renamed_) unlink(temporary_path_.c_str());
}

void TemporaryFile::write(std::span<const std::byte> bytes) {
  write_all(descriptor_, bytes, path_);
}

void TemporaryFile::append_from(const InputFile& source, std::uint64_t offset, std::uint64_t byte_count) {
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer_bytes)));
  while (byte_count > 0) {
    const std::span part(buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer.size())));
    source.read_at(offset, part);
    write(part);
    offset += part.size();
    byte_count -= part.size();
  }
  // Lets the disk write while more is copied; otherwise all of it waits for the end.
  sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

void TemporaryFile::synchronize_and_close() {
  if (fsync(descriptor_) != 0) throw_write_error(path_, errno);
  const int status = close(descriptor_);
  descriptor_ = -1;
  if (status != 0) throw_write_error(path_, errno);
}

void TemporaryFile::rename_to_final() {
  if (rename(temporary_path_.c_str(), path_.c_str()) != 0) throw_write_error(path_, errno);
  renamed_ = true;
}

}  // namespace gem
