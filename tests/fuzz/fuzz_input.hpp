#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "base/error.hpp"
#include "platform/file_system/whole_file.hpp"

namespace gem {

/// The bytes of a fuzzer as a file, in memory where the machine has /dev/shm. Its name ends as the reader expects it
/// to.
class FuzzFile {
 public:
  FuzzFile(const std::uint8_t* bytes, std::size_t size, const std::string& ending)
      : path_(
            (std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string()) +
            "/gem_fuzz." + std::to_string(getpid()) + ending) {
    const int descriptor = open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (descriptor < 0) std::abort();
    write_all(descriptor, std::as_bytes(std::span(bytes, size)), path_);
    close(descriptor);
  }
  ~FuzzFile() { unlink(path_.c_str()); }
  FuzzFile(const FuzzFile&) = delete;
  FuzzFile& operator=(const FuzzFile&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Runs a reader: refusing the data, or the way they are used, is right; anything else that is thrown is a bug.
template <class Reader>
void must_read_or_refuse(const Reader& reader) {
  try {
    reader();
  } catch (const DataError& error) {
    if (std::string(error.what()).empty()) std::abort();
  } catch (const UsageError&) {
  }
}

}  // namespace gem

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size);
