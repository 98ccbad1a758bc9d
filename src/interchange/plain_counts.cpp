// Counts in plain form, for everybody else: arrays of NumPy and PyTorch, nested JSON arrays ([layers][experts] as
// popularity tables have it, or [steps][layers][experts]), and CSV: with columns layer, expert, count and, optionally,
// step; or, without a header, a line a layer with a number an expert.
#include <fmt/core.h>
#include <algorithm>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "interchange/npy.hpp"
#include "interchange/statistics_readers.hpp"
#include "interchange/torch_file.hpp"
#include "platform/file_system/zip_input.hpp"
#include "platform/text_formats/json.hpp"

namespace gem {
namespace {

constexpr std::uint64_t largest_text_bytes = std::uint64_t{1} << 30;

/// Extents and numbers of nested arrays of equal lengths.
void flatten(const JsonNode& node, std::size_t depth, NumberArray& array) {
  if (!node.is_array()) {
    if (depth != array.extents.size()) node.reject("must be an array as its neighbours are");
    array.values.push_back(node.number());
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

NumberArray read_json_array(const std::string& path) {
  const JsonDocument document = JsonDocument::read(path);
  NumberArray array;
  // A table in an object: {"expert_load": [...]}, whatever the name.
  const bool wrapped = document.root().is_object() && document.root().keys().size() == 1;
  flatten(wrapped ? document.root().member(0) : document.root(), 0, array);
  return array;
}

NumberArray read_npz(const std::string& path) {
  const ZipInput archive(path);
  if (archive.entries().size() != 1)
    throw DataError(fmt::format("{}: has {} arrays, but counts must be one; save it alone, as .npy", path,
                                archive.entries().size()));
  const std::string bytes = archive.read(archive.entries()[0]);
  return parse_npy(std::as_bytes(std::span(bytes)), path + ": " + archive.entries()[0].name);
}

NumberArray read_tensor(const std::string& path) {
  const TorchFile file(path);
  const Pickle& pickle = file.pickle();
  Pickle::Index value = pickle.root();
  if (const auto member = file.find(value, "expert_load")) value = *member;
  if (pickle.kind(value) != Pickle::Kind::Tensor) file.reject("must hold one tensor, alone or as expert_load");
  return file.tensor(value, pickle.tensor(value).extents.size(), "the tensor");
}

/// A number of a file is wrong by the file's fault, not the user's.
template <class Parse>
auto number_in_file(const Parse& parse) {
  try {
    return parse();
  } catch (const UsageError& error) {
    throw DataError(error.what());
  }
}

std::int64_t whole_number(const std::string& cell, const std::string& where) {
  return number_in_file([&] { return parse_integer(cell, where); });
}

struct CsvColumns {
  std::optional<std::size_t> step;
  std::size_t layer = 0, expert = 0, count = 0;
};

CsvColumns columns_of(const std::vector<std::string>& header, const std::string& where) {
  const auto find = [&](const std::string& name) -> std::optional<std::size_t> {
    const auto found = std::ranges::find(header, name);
    if (found == header.end()) return std::nullopt;
    return static_cast<std::size_t>(found - header.begin());
  };
  const auto layer = find("layer"), expert = find("expert"), count = find("count");
  if (!layer || !expert || !count)
    throw DataError(where + ": the header '" + join(header, ",").substr(0, 80) +
                    "' lacks a column of layer, expert, count (and step, where there is a time axis)");
  return {find("step"), *layer, *expert, *count};
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells = split(line, ',');
  for (std::string& cell : cells) cell = trim(cell);
  return cells;
}

struct CsvLine {
  std::size_t number;  // from 1
  std::vector<std::string> cells;
};

/// The next line that is neither empty nor a comment, from `begin` on, which moves behind it; none at the end.
std::optional<CsvLine> next_line(const std::string& text, std::size_t& begin, std::size_t& number) {
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string line = trim(std::string_view(text).substr(begin, end - begin));
    begin = end + 1;
    ++number;
    if (!line.empty() && line[0] != '#') return CsvLine{number, cells_of(line)};
  }
  return std::nullopt;
}

std::optional<double> as_number(const std::string& cell) {
  try {
    return parse_number(cell, "");
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

/// [layer, expert], a line a layer.
NumberArray read_csv_matrix(const std::string& path, const std::string& text) {
  NumberArray array{{0, 0}, {}};
  std::size_t begin = 0, number = 0;
  while (const auto line = next_line(text, begin, number)) {
    const std::string where = fmt::format("{}, line {}", path, line->number);
    if (array.extents[0] == 0) array.extents[1] = line->cells.size();
    if (line->cells.size() != array.extents[1])
      throw DataError(
          fmt::format("{}: has {} numbers, but the lines before have {}", where, line->cells.size(), array.extents[1]));
    for (const std::string& cell : line->cells)
      array.values.push_back(number_in_file([&] { return parse_number(cell, where); }));
    ++array.extents[0];
  }
  return array;
}

bool has_header(const std::string& text) {
  std::size_t begin = 0, number = 0;
  const auto line = next_line(text, begin, number);
  return !line ||
         !std::ranges::all_of(line->cells, [](const std::string& cell) { return as_number(cell).has_value(); });
}

ImportedCounts read_csv(const std::string& path) {
  const std::string text = read_whole_text(path, largest_text_bytes);
  if (!has_header(text)) return counts_of_array(read_csv_matrix(path, text), path);
  std::optional<CsvColumns> columns;
  std::map<std::pair<std::int64_t, std::int32_t>, std::map<std::size_t, double>> rows;
  std::size_t expert_count = 0, begin = 0, number = 0, counts = 0;
  while (const auto line = next_line(text, begin, number)) {
    const std::string where = fmt::format("{}, line {}", path, line->number);
    const std::vector<std::string>& cells = line->cells;
    if (!columns) {
      columns = columns_of(cells, where);
      continue;
    }
    if (cells.size() <= std::max({columns->layer, columns->expert, columns->count, columns->step.value_or(0)}))
      throw DataError(where + ": has fewer columns than the header");
    const std::int64_t layer = whole_number(cells[columns->layer], where + ", layer");
    const std::int64_t expert = whole_number(cells[columns->expert], where + ", expert");
    if (layer < 0 || layer > 65535 || expert < 0 || expert > 65535)
      throw DataError(where + ": layer and expert must be 0 to 65535");
    const std::int64_t step = columns->step ? whole_number(cells[*columns->step], where + ", step") : 0;
    rows[{step, static_cast<std::int32_t>(layer)}][static_cast<std::size_t>(expert)] +=
        number_in_file([&] { return parse_number(cells[columns->count], where + ", count"); });
    expert_count = std::max(expert_count, static_cast<std::size_t>(expert) + 1);
    ++counts;
  }
  // Counts of 0 may be left out, but not nearly all of them.
  if (rows.size() * expert_count > 1024 * counts + 65536)
    throw DataError(fmt::format("{}: {} lines are too few for {} pairs of step and layer with {} experts", path, counts,
                                rows.size(), expert_count));
  CountCollector collector(path);
  for (const auto& [key, row] : rows) {
    std::vector<double> experts(expert_count, 0.0);
    for (const auto& [expert, count] : row) experts[expert] = count;
    collector.add(key.first, key.second, experts);
  }
  ImportedCounts imported;
  collector.finish(imported);
  imported.has_steps = columns->step.has_value();
  imported.source = "CSV of counts";
  return imported;
}

}  // namespace

ImportedCounts read_plain_counts(const std::string& path) {
  if (path.ends_with(".csv")) return read_csv(path);
  if (path.ends_with(".json")) return counts_of_array(read_json_array(path), path);
  if (path.ends_with(".npy")) return counts_of_array(read_npy(path), path);
  if (path.ends_with(".npz")) return counts_of_array(read_npz(path), path);
  if (path.ends_with(".pt") || path.ends_with(".pth")) return counts_of_array(read_tensor(path), path);
  throw UsageError(path + ": counts are read from .csv, .json, .npy, .npz and .pt files; give one with such a name");
}

}  // namespace gem
