#include "interchange/import_text.hpp"

#include <fmt/core.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/npy.hpp"
#include "platform/file_system/zip_input.hpp"

namespace gem {
namespace {

constexpr std::size_t longest_line = std::size_t{64} << 20;
constexpr std::uint64_t largest_text_bytes = std::uint64_t{1} << 30;

void flatten(const JsonNode& node, std::size_t depth, NumberArray& array) {
  if (!node.is_array()) {
    if (depth != array.extents.size()) node.reject("must be an array as its neighbours are");
    array.values.push_back(node.number());
    array.whole = array.whole && array.values.back() == std::floor(array.values.back());
    return;
  }
  if (depth == array.extents.size()) {
    if (!array.values.empty()) node.reject("is nested deeper than its neighbours");
    array.extents.push_back(node.size());
  }
  if (node.size() != array.extents[depth])
    node.reject(fmt::format("has {} items, but its neighbours have {}", node.size(), array.extents[depth]));
  for (std::size_t i = 0; i < node.size(); ++i) flatten(node.item(i), depth + 1, array);
}

/// The next line, or its beginning if it is longer than the longest that is read. False at the end.
bool take_line(std::istream& lines, std::string& line) {
  line.clear();
  std::streambuf& letters = *lines.rdbuf();
  constexpr int end = std::char_traits<char>::eof();
  int letter = letters.sbumpc();
  const bool found = letter != end;
  for (; letter != end && letter != '\n' && line.size() <= longest_line; letter = letters.sbumpc())
    line += static_cast<char>(letter);
  return found;
}

}  // namespace

NumberArray array_of_json(const JsonNode& node) {
  NumberArray array;
  flatten(node, 0, array);
  return array;
}

JsonDocument read_large_json(const std::string& path) {
  return JsonDocument::parse(read_whole_text(path, largest_text_bytes), path);
}

void for_each_json_line(const std::string& path, std::vector<std::string>& notes,
                        const std::function<void(const JsonDocument&)>& take) {
  { const InputFile readable(path); }  // says what is wrong if it is not
  std::ifstream lines(path);
  std::optional<DataError> cut;
  std::size_t number = 0;
  for (std::string line; take_line(lines, line);) {
    const std::string origin = fmt::format("{}, line {}", path, ++number);
    if (line.size() > longest_line) throw DataError(origin + ": is longer than 64 MiB");
    if (trim(line).empty()) continue;
    if (cut) throw *cut;
    std::optional<JsonDocument> document;
    try {
      document = JsonDocument::parse(line, origin);
    } catch (const DataError& error) {
      cut = error;
      continue;
    }
    take(*document);
  }
  if (!cut) return;
  if (number < 2) throw *cut;
  notes.push_back(fmt::format("the last line ({}) is cut and was left out, as when a server is killed", number));
}

std::string beginning_of(const std::string& path) {
  std::string text(std::size_t{64} << 10, '\0');
  if (!std::filesystem::is_regular_file(path)) return "";  // a pipe would wait for its writer
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

std::optional<NumberArray> array_to_look_at(const std::string& path) {
  try {
    if (path.ends_with(".npy")) return read_npy(path);
    if (path.ends_with(".npz")) {
      const ZipInput archive(path);
      if (archive.entries().empty()) return std::nullopt;
      const std::string bytes = archive.read(archive.entries()[0]);
      return parse_npy(std::as_bytes(std::span(bytes)), path);
    }
    if (!path.ends_with(".json")) return std::nullopt;
    const JsonDocument document = read_large_json(path);
    if (document.root().is_array()) return array_of_json(document.root());
  } catch (const Error&) {
    // The reader of the format says what is wrong.
  }
  return std::nullopt;
}

}  // namespace gem
