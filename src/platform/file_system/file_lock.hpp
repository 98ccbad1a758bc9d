#pragma once

#include <string>

namespace gem {

/// A lock on a file that other processes respect, on other hosts too where the file system passes locks on (NFS does).
/// The system frees it when the process ends, however that comes about.
class FileLock {
 public:
  enum class Kind { Shared, Exclusive };

  /// Makes the file if need be. `wait` false: UsageError naming `what` and who holds it, if it is taken. SystemError if
  /// the file can't be locked at all.
  FileLock(const std::string& path, Kind kind, bool wait, const std::string& what);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace gem
