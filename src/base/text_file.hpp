#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gem {

/// All of a text file; nothing if there is no such file or it may not be read. DataError for what is no regular file (a
/// pipe would keep us waiting) or has more than `most_bytes`.
std::optional<std::string> read_text_file(const std::string& path, std::uint64_t most_bytes = std::uint64_t{64} << 20);

/// The same of a file that an option names: DataError if there is no such file, SystemError if it may not be read.
std::string read_needed_text(const std::string& path, std::uint64_t most_bytes = std::uint64_t{64} << 20);

}  // namespace gem
