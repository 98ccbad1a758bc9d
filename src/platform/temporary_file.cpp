#include "platform/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <vector>

#include "platform/whole_file.hpp"

namespace gem {
namespace {

// Smaller parts, and parts that the kernel cannot copy itself, go through a buffer of this size.
constexpr std::size_t buffer_bytes = std::size_t{4} << 20;
constexpr std::uint64_t least_kernel_copy_bytes = std::uint64_t{1} << 20;

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
  while (byte_count >= least_kernel_copy_bytes) {
    auto from = static_cast<off_t>(offset);
    const ssize_t copied =
        copy_file_range(source.descriptor(), &from, descriptor_, nullptr, static_cast<std::size_t>(byte_count), 0);
    if (copied < 0 && errno == EINTR) continue;
    if (copied < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG || errno == EIO))
      throw_write_error(path_, errno);
    if (copied <= 0) break;  // not between these file systems, or the source ends: the plain way finds out
    offset += static_cast<std::uint64_t>(copied);
    byte_count -= static_cast<std::uint64_t>(copied);
  }
  std::vector<std::byte> buffer(static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer_bytes)));
  while (byte_count > 0) {
    const std::span part(buffer.data(), static_cast<std::size_t>(std::min<std::uint64_t>(byte_count, buffer.size())));
    source.read_at(offset, part);
    write(part);
    offset += part.size();
    byte_count -= part.size();
  }
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
