#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "platform/file_system/input_file.hpp"

namespace gem {

/// A ZIP archive opened for reading (PKWARE APPNOTE 6.3: stored and deflated entries, ZIP64), which is what NumPy's
/// .npz and PyTorch's .pt files are. Nothing that the archive says is believed: what cannot be true given the file's
/// size is refused with a DataError before memory is taken, as is what unpacks to far more than any recording does.
class ZipInput {
 public:
  struct Entry {
    std::string name;
    std::uint64_t size = 0;  ///< bytes, unpacked
    std::uint64_t packed_size = 0;
    std::uint64_t header_offset = 0;
    std::uint32_t crc = 0;     ///< of the unpacked bytes; 0 where the writer left it out
    std::uint16_t method = 0;  ///< 0 stored, 8 deflated
  };

  explicit ZipInput(const std::string& path);

  const std::string& path() const { return file_.path(); }
  const std::vector<Entry>& entries() const { return entries_; }
  /// Bytes of all entries together, unpacked.
  std::uint64_t unpacked_bytes() const { return unpacked_bytes_; }
  /// The entry's bytes, unpacked. DataError if their checksum is another than the archive says.
  std::string read(const Entry& entry) const;

 private:
  void read_directory(std::uint64_t offset, std::uint64_t count, std::uint64_t byte_count);

  InputFile file_;
  std::vector<Entry> entries_;
  std::uint64_t unpacked_bytes_ = 0;
};

}  // namespace gem
