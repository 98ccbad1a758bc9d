#include "platform/file_system/file_lock.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/host/host_info.hpp"

namespace gem {

FileLock::FileLock(const std::string& path, Kind kind, bool wait, const std::string& what)
    : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) throw_write_error(path, errno);
  const int operation = (kind == Kind::Shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);
  int status = 0;
  do status = flock(descriptor_, operation);
  while (status != 0 && errno == EINTR);
  if (status != 0) {
    const int reason = errno;
    char holder[256] = "";
    const ssize_t length = pread(descriptor_, holder, sizeof holder - 1, 0);
    close(descriptor_);
    if (reason != EWOULDBLOCK)
      throw SystemError(
          fmt::format("cannot lock {}: {}; choose a place on another file system", path, std::strerror(reason)));
    throw UsageError(fmt::format("{} is in use{}{}; wait for that run or choose another directory", what,
                                 length > 0 ? " by " : "", trim(holder)));
  }
  // Who holds it, for the message above; of several sharers the last one.
  const std::string owner = fmt::format("process {} on {}\n", static_cast<long>(getpid()), host_name());
  if (ftruncate(descriptor_, 0) == 0 && pwrite(descriptor_, owner.data(), owner.size(), 0) < 0)
    errno = 0;  // the lock holds without the name
}

FileLock::~FileLock() {
  close(descriptor_);
}

}  // namespace gem
