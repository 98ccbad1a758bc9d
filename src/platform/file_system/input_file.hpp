#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace gem {

/// Which content a name stood for at a moment: another file of that name, or one that was written to, has another.
struct FileVersion {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t byte_count = 0;
  std::int64_t written_s = 0;
  std::int64_t written_ns = 0;  ///< beside the whole seconds
  bool operator==(const FileVersion&) const = default;
};

/// A regular file opened for reading at any offset. DataError if there is none of that name, SystemError if it may not
/// be read.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;

  const std::string& path() const { return path_; }
  std::uint64_t size() const { return version_.byte_count; }
  const FileVersion& version() const { return version_; }  ///< when it was opened
  int descriptor() const { return descriptor_; }

  /// Fills `bytes` from `offset` on. DataError if the file ends before.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;
  std::string read_text(std::uint64_t offset, std::size_t byte_count) const;

  /// Throws DataError "PATH: WHAT".
  [[noreturn]] void reject(const std::string& what) const;

 private:
  std::string path_;
  int descriptor_ = -1;
  FileVersion version_;
};

/// The whole file as text. DataError if it has more than `most_bytes`.
std::string read_whole_text(const std::string& path, std::uint64_t most_bytes);

/// All bytes of the file.
std::vector<std::byte> read_whole_file(const std::string& path);

}  // namespace gem
