#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "platform/file_system/input_file.hpp"

namespace gem {

/// A file under construction: written from front to back under `path` + `suffix`, renamed to `path` when whole, removed
/// unless it got that far. All that can go wrong is a SystemError with the remedy.
class TemporaryFile {
 public:
  /// Replaces what is at `path` + `suffix`.
  TemporaryFile(const std::string& path, const std::string& suffix);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Appends a part of another file.
  void append_from(const InputFile& source, std::uint64_t offset, std::uint64_t byte_count);

  /// Quota and network file systems report a full disk as late as here.
  void synchronize_and_close();
  void rename_to_final();

 private:
  std::string path_;
  std::string temporary_path_;
  int descriptor_;
  bool renamed_ = false;
};

}  // namespace gem
