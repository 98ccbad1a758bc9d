#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace gem {

/// Writes `bytes` to `path`, whole or not at all: under a temporary name beside it, synchronised to the disk, then
/// renamed. SystemError naming the file and the remedy if it cannot be written; nothing is left behind then.
void write_whole_file(const std::string& path, std::span<const std::byte> bytes);

/// The same of a text.
void write_whole_text(const std::string& path, const std::string& text);

/// Makes a directory and those above it that are missing; SystemError if it cannot be made.
void make_directory(const std::string& path);

/// For a job that writes `path` only at its end: SystemError now, as write_whole_file would throw it then, for a
/// directory that is missing or may not be written to, or a name that is no regular file's.
void expect_writable(const std::string& path);

/// Writes all of `bytes` to a descriptor; SystemError naming `path` if that fails.
void write_all(int descriptor, std::span<const std::byte> bytes, const std::string& path);

/// SystemError "cannot write PATH: REASON; what to do", by errno's value.
[[noreturn]] void throw_write_error(const std::string& path, int error_number);

}  // namespace gem
