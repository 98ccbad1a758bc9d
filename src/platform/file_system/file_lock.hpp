#pragma once

#include <string>

namespace gem {

/// A lock on a file that other processes respect, on other hosts too where the file system passes locks on (NFS does).
/// The system frees it when the process ends, however that comes about; who ends in good order removes the file as
/// well. Where the file system knows no locks, the file itself is the lock: whoever makes it has it, and one that a
/// process of this host left behind is taken over.
class FileLock {
 public:
  enum class Kind { Shared, Exclusive };
  /// How it locks: ByFile is for file systems without locks; there who shares is kept out by who has it alone, but not
  /// the other way round.
  enum class Method { BySystem, ByFile };

  /// Makes the file if need be. `wait` false: UsageError naming `what` and who holds it, if it is taken. SystemError if
  /// the file can't be locked at all.
  FileLock(const std::string& path, Kind kind, bool wait, const std::string& what, Method method = Method::BySystem);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  bool take_from_system(Kind kind, bool wait, const std::string& what);
  void take_by_file(Kind kind, bool wait, const std::string& what);

  std::string path_;
  Method method_;
  int descriptor_ = -1;
};

}  // namespace gem
