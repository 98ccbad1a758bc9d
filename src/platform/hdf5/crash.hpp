#pragma once

#include <string>

namespace gem::hdf5 {

/// While one lives, a crash (of the HDF5 library: its 1.10 to 1.14 trust some bytes of a damaged file) ends the process
/// with one sentence naming the file, and the exit code of bad data, instead of a stack trace. `path` must outlive it.
class CrashSentence {
 public:
  explicit CrashSentence(const std::string& path);
  ~CrashSentence();
  CrashSentence(const CrashSentence&) = delete;
  CrashSentence& operator=(const CrashSentence&) = delete;

 private:
  const char* outer_;  // the file that was being read before, if any
};

}  // namespace gem::hdf5
