#include "platform/file_system/file_lock.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/whole_file.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

constexpr auto between_tries = std::chrono::milliseconds(200);

std::string own_name() {
  return fmt::format("process {} on {}", getpid(), host_name());
}

std::string holder_of(int descriptor) {
  char holder[256] = "";
  const ssize_t length = pread(descriptor, holder, sizeof holder - 1, 0);
  return length > 0 ? trim(std::string(holder, static_cast<std::size_t>(length))) : "";
}

/// For messages, and for who finds the file where the file system knows no locks; of several sharers the last one.
void write_own_name(int descriptor) {
  const std::string name = own_name() + "\n";
  if (ftruncate(descriptor, 0) == 0 && pwrite(descriptor, name.data(), name.size(), 0) < 0)
    errno = 0;  // the lock holds without the name
}

/// Whether the file at `path` is still the one that is open: who had it before may have removed it.
bool is_same_file(int descriptor, const std::string& path) {
  struct stat opened {
  }, present{};
  return fstat(descriptor, &opened) == 0 && lstat(path.c_str(), &present) == 0 && opened.st_dev == present.st_dev &&
         opened.st_ino == present.st_ino;
}

[[noreturn]] void throw_taken(const std::string& what, const std::string& holder, const std::string& remedy) {
  throw UsageError(fmt::format("{} is in use{}{}; {}", what, holder.empty() ? "" : " by ", holder, remedy));
}

/// Whether "process PID on HOST" is one of this host that has ended.
bool has_ended(const std::string& holder) {
  const std::string begin = "process ", middle = " on ";
  const std::size_t place = holder.find(middle);
  if (!holder.starts_with(begin) || place == std::string::npos) return false;
  long process = 0;
  const char *first = holder.data() + begin.size(), *last = holder.data() + place;
  if (std::from_chars(first, last, process).ptr != last || process <= 0) return false;
  return holder.substr(place + middle.size()) == host_name() && kill(static_cast<pid_t>(process), 0) != 0 &&
         errno == ESRCH;
}

bool was_left_behind(const std::string& path) {
  const int present = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  const bool left = present >= 0 && has_ended(holder_of(present));
  if (present >= 0) close(present);
  return left;
}

/// Removes a claim whose maker was killed. It is renamed first: of those who find it one alone succeeds, and looks
/// again at what it has, since the claim may be another's by then; that one gets it back.
void remove_dead_claim(const std::string& claim) {
  if (!was_left_behind(claim)) return;
  const std::string taken = fmt::format("{}.{}", claim, getpid());
  if (rename(claim.c_str(), taken.c_str()) != 0) return;
  if (!was_left_behind(taken) && link(taken.c_str(), claim.c_str()) != 0) errno = 0;  // there is a newer one
  unlink(taken.c_str());
}

/// Removes the lock file of a process that has ended; false if somebody else is about to. Who finds such a file must
/// not remove it just so: another may have done that already, and the file that is there now be the other's lock. So
/// one makes a second file, alone, and looks again: who is dead removes nothing, and the living ask for the second
/// file.
bool remove_left_behind(const std::string& path) {
  const std::string claim = path + ".claim";
  remove_dead_claim(claim);
  const int claimed = open(claim.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
  if (claimed < 0) return false;
  write_own_name(claimed);
  if (was_left_behind(path)) unlink(path.c_str());
  unlink(claim.c_str());
  close(claimed);
  return true;
}

}  // namespace

FileLock::FileLock(const std::string& path, Kind kind, bool wait, const std::string& what, Method method)
    : path_(path), method_(method) {
  if (method_ == Method::BySystem && take_from_system(kind, wait, what)) return;
  method_ = Method::ByFile;
  take_by_file(kind, wait, what);
}

/// False if the file system knows no locks.
bool FileLock::take_from_system(Kind kind, bool wait, const std::string& what) {
  for (;;) {
    // Whether it is new: where the system has no locks, only its maker may remove it.
    int descriptor = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    const bool is_new = descriptor >= 0;
    if (!is_new && errno == EEXIST) {
      descriptor = open(path_.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC);
      if (descriptor < 0 && errno == ENOENT) continue;  // its holder has just removed it
    }
    if (descriptor < 0) throw_write_error(path_, errno);
    const int operation = (kind == Kind::Shared ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);
    int status = 0;
    do status = flock(descriptor, operation);
    while (status != 0 && errno == EINTR);
    if (status == 0 && is_same_file(descriptor, path_)) {
      write_own_name(descriptor);
      descriptor_ = descriptor;
      return true;
    }
    const int reason = errno;
    const std::string holder = holder_of(descriptor);
    close(descriptor);
    if (status == 0) continue;
    if (reason == ENOSYS || reason == ENOTSUP || reason == ENOLCK || reason == EINVAL) {
      if (is_new) unlink(path_.c_str());
      return false;
    }
    if (reason != EWOULDBLOCK) throw_write_error(path_, reason);
    throw_taken(what, holder, "wait for that run or choose another place");
  }
}

void FileLock::take_by_file(Kind kind, bool wait, const std::string& what) {
  for (;;) {
    // Who shares sees whether somebody has it alone, and leaves nothing that others could see.
    if (kind == Kind::Shared && access(path_.c_str(), F_OK) != 0 && errno == ENOENT) return;
    if (kind == Kind::Exclusive)
      descriptor_ = open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ >= 0) return write_own_name(descriptor_);
    if (kind == Kind::Exclusive && errno != EEXIST) throw_write_error(path_, errno);
    const int present = open(path_.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (present < 0 && errno != ENOENT) throw_write_error(path_, errno);
    const std::string holder = present < 0 ? "" : holder_of(present);
    if (present >= 0) close(present);
    if (present >= 0 && has_ended(holder) && remove_left_behind(path_)) continue;
    if (wait) {
      std::this_thread::sleep_for(between_tries);
    } else if (present >= 0) {
      throw_taken(what, holder,
                  fmt::format("wait for that run or choose another place; if it has ended, remove {}", path_));
    }
  }
}

FileLock::~FileLock() {
  if (descriptor_ < 0) return;
  // Who shares the lock with others can't have it alone, and leaves the file to them.
  const bool alone = method_ == Method::ByFile || flock(descriptor_, LOCK_EX | LOCK_NB) == 0;
  if (alone && is_same_file(descriptor_, path_)) unlink(path_.c_str());
  close(descriptor_);
}

}  // namespace gem
