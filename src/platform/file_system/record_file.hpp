#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "platform/file_system/temporary_file.hpp"

namespace gem {

/// A file that grows by whole records behind a head, and from which a kill at any moment takes nothing that was there.
/// Bytes once written are never changed; each record has its length and a checksum before it, so that a torn one is
/// known. (HDF5 itself updates its index in place, also in single-writer mode: a kill between two pages tears it.)
class RecordFile {
 public:
  /// Makes the file, with `head` as its beginning, under a temporary name until it is published. SystemError if it
  /// cannot be written.
  RecordFile(const std::string& path, std::span<const std::byte> head);

  /// Adds a record. Once this returns, the operating system has it: it outlives a kill, not a crash of the machine.
  /// SystemError if it cannot be written; the records before stay good.
  void append(std::span<const std::byte> record);
  /// Gives the file its name, in the place of what has it now.
  void publish();

 private:
  TemporaryFile file_;
};

/// The whole records of a file behind a head of `head_bytes`, up to the first that is torn or damaged. SystemError if
/// the file cannot be read.
std::vector<std::vector<std::byte>> read_records(const std::string& path, std::uint64_t head_bytes);

}  // namespace gem
