#include "platform/hdf5/heap.hpp"

#include <cstdint>
#include <cstring>

namespace gem::hdf5 {
namespace {

// Signature, version 1, three reserved bytes; then the size of the heap, this header included.
constexpr char heap_start[] = {'G', 'C', 'O', 'L', 1, 0, 0, 0};
constexpr std::uint64_t heap_header_bytes = sizeof heap_start + sizeof(std::uint64_t);
constexpr std::uint64_t least_heap_bytes = 4096;
// Index (2 bytes), references (2), reserved (4), size of the data (8); the data follow, padded to a multiple of 8.
constexpr std::uint64_t object_header_bytes = 16;

template <class T>
T value_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// `heap` starts with its header and may run on to the end of the file.
bool heap_is_whole(std::span<const std::byte> heap) {
  if (heap.size() < heap_header_bytes) return false;
  const auto heap_bytes = value_at<std::uint64_t>(heap, sizeof heap_start);
  if (heap_bytes < least_heap_bytes || heap_bytes > heap.size()) return false;
  for (std::uint64_t offset = heap_header_bytes; offset + object_header_bytes <= heap_bytes;) {
    const std::uint64_t rest = heap_bytes - offset;
    const auto data_bytes = value_at<std::uint64_t>(heap, offset + 8);
    // Object 0 is what is free; its size counts its header and it is the last one.
    if (value_at<std::uint16_t>(heap, offset) == 0) return data_bytes == rest;
    if (data_bytes > rest - object_header_bytes) return false;
    offset += object_header_bytes + (data_bytes + 7) / 8 * 8;
  }
  return true;
}

}  // namespace

bool global_heaps_are_whole(std::span<const std::byte> file) {
  const std::byte* const end = file.data() + file.size();
  for (const std::byte* at = file.data();;) {
    const void* found = memmem(at, static_cast<std::size_t>(end - at), heap_start, sizeof heap_start);
    if (found == nullptr) return true;
    at = static_cast<const std::byte*>(found);
    if (!heap_is_whole({at, end})) return false;
    at += sizeof heap_start;
  }
}

}  // namespace gem::hdf5
