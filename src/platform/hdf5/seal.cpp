#include "platform/hdf5/seal.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace gem::hdf5 {
namespace {

constexpr char seal_start[] = "\nGEM checksum crc32 ";
constexpr std::size_t start_bytes = sizeof seal_start - 1;
constexpr std::size_t seal_bytes = start_bytes + 9;

}  // namespace

std::string seal_of(std::span<const std::byte> content) {
  const uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(content.data()), content.size());
  return fmt::format("{}{:08x}\n", seal_start, crc);
}

bool seal_is_broken(std::span<const std::byte> file) {
  if (file.size() < seal_bytes) return false;
  const std::span<const std::byte> seal = file.last(seal_bytes);
  if (std::memcmp(seal.data(), seal_start, start_bytes) != 0) return false;
  const std::string expected = seal_of(file.first(file.size() - seal_bytes));
  return std::memcmp(seal.data(), expected.data(), seal_bytes) != 0;
}

}  // namespace gem::hdf5
