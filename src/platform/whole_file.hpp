#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gem {

/// Writes `bytes` to `path`, whole or not at all: under a temporary name beside it, synchronised to the disk, then
/// renamed. SystemError naming the file and the remedy if it cannot be written; nothing is left behind then.
void write_whole_file(const std::string& path, std::span<const std::byte> bytes);

/// Writes all of `bytes` to a descriptor; SystemError naming `path` if that fails.
void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path);

/// SystemError "cannot write PATH: REASON; what to do", by errno's value.
[[noreturn]] void throw_write_error(const std::string& path, int error_number);

}  // namespace gem
