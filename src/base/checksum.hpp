#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gem {

/// FNV-1a, 64 bits, of bytes that may come in pieces. Tells changed data from unchanged, not forged from true.
class Checksum {
 public:
  void add(std::span<const std::byte> bytes) {
    for (const std::byte byte : bytes) hash_ = (hash_ ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
  }
  std::uint64_t value() const { return hash_; }

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325;
};

/// Of all bytes at once.
inline std::uint64_t checksum_of(std::span<const std::byte> bytes) {
  Checksum checksum;
  checksum.add(bytes);
  return checksum.value();
}

}  // namespace gem
