#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "platform/file_system/input_file.hpp"

namespace gem {

/// A file under construction: written from front to back under another name in the same folder, renamed when whole,
/// removed unless it got that far. That name can't be foreseen and is always a new file's, so that nothing set up there
/// before is written to. What is at `path` is replaced only if it is a regular file, and its mode is kept; a link stays
/// and the file that it leads to is replaced. All that can go wrong is a SystemError with the remedy.
class TemporaryFile {
 public:
  /// Also removes what killed runs left of earlier constructions of this file.
  explicit TemporaryFile(const std::string& path);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Appends a part of another file.
  void append_from(const InputFile& source, std::uint64_t offset, std::uint64_t byte_count);

  /// Waits until the disk has all. Quota and network file systems report a full disk as late as here.
  void synchronize();
  /// Writing may go on after it.
  void rename_to_final();

 private:
  std::string path_;        // as the user gave it, for messages
  std::string final_path_;  // where that leads to
  std::string temporary_path_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

/// Whether a name in a folder is that of a file under construction.
bool is_temporary_name(const std::string& name);

}  // namespace gem
