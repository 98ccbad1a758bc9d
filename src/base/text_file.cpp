#include "base/text_file.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

std::optional<std::string> read_text_file(const std::string& path, std::uint64_t most_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return std::nullopt;
  if (!std::filesystem::is_regular_file(status)) throw DataError(path + ": is not a regular file; give a file");
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > most_bytes)
    throw DataError(path + ": has " + format_bytes(static_cast<double>(size)) + ", but at most " +
                    format_bytes(static_cast<double>(most_bytes)) + " are read as one text");
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string read_needed_text(const std::string& path, std::uint64_t most_bytes) {
  std::error_code error;
  if (std::optional<std::string> text = read_text_file(path, most_bytes)) return *std::move(text);
  if (std::filesystem::exists(path, error) || error)
    throw SystemError("cannot read " + path + ": " + (error ? error.message() : "it can't be opened") + "; check " +
                      (error == std::errc::filename_too_long ? "the name" : "its permissions"));
  throw DataError(path + ": there is no such file; check the name");
}

}  // namespace gem
