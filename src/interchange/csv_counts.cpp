#include "interchange/csv_counts.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

constexpr std::uint64_t largest_text_bytes = std::uint64_t{1} << 30;

/// A number of a file is wrong by the file's fault, not the user's.
template <class Parse>
auto number_in_file(const Parse& parse) {
  try {
    return parse();
  } catch (const UsageError& error) {
    throw DataError(error.what());
  }
}

std::optional<double> as_number(const std::string& cell) {
  try {
    return parse_number(cell, "");
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

/// The lines of a table that are neither empty nor comments, cut into cells.
class CsvLines {
 public:
  CsvLines(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {
    if (text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);  // byte order mark
    const std::string first = text_.substr(0, text_.find('\n'));
    for (const char separator : {',', ';', '\t'})
      if (first.find(separator) != std::string::npos) {
        separator_ = separator;
        break;
      }
  }

  bool next() {
    while (begin_ < text_.size()) {
      const std::size_t end = std::min(text_.find('\n', begin_), text_.size());
      const std::string line = trim(std::string_view(text_).substr(begin_, end - begin_));
      begin_ = end + 1;
      ++number_;
      if (line.empty() || line[0] == '#') continue;
      cells_ = split(line, separator_);
      for (std::string& cell : cells_) cell = trim(cell);
      return true;
    }
    return false;
  }
  void restart() { begin_ = number_ = 0; }

  const std::vector<std::string>& cells() const { return cells_; }
  std::string where() const { return fmt::format("{}, line {}", path_, number_); }
  const std::string& path() const { return path_; }
  /// Whether the file ends within this line, as when its writer was killed.
  bool is_cut() const { return begin_ > text_.size() && !text_.ends_with('\n'); }

  std::int64_t whole_number(std::size_t column, const char* name) const {
    return number_in_file([&] { return parse_integer(cells_[column], where() + ", " + name); });
  }
  double number(std::size_t column, const char* name) const {
    return number_in_file([&] { return parse_number(cells_[column], where() + ", " + name); });
  }

 private:
  std::string path_, text_;
  std::vector<std::string> cells_;
  std::size_t begin_ = 0, number_ = 0;
  char separator_ = ',';
};

/// Names that columns go by, the plainest first.
const std::vector<std::string> step_names = {"step", "step_id",     "iteration", "iter", "forward_pass_id",
                                             "pass", "forward_pass"};
const std::vector<std::string> layer_names = {"layer",     "layer_id",     "layer_idx", "layer_index",
                                              "layer_num", "layer_number", "moe_layer"};
const std::vector<std::string> expert_names = {"expert",     "expert_id",      "expert_idx",       "expert_index",
                                               "expert_num", "logical_expert", "logical_expert_id"};
const std::vector<std::string> count_names = {"count",    "counts",      "tokens",          "num_tokens", "token_count",
                                              "n_tokens", "load",        "expert_load",     "hits",       "frequency",
                                              "freq",     "activations", "activation_count"};

struct CsvColumns {
  std::optional<std::size_t> step, layer, expert, count;
  std::vector<std::pair<std::size_t, std::size_t>> experts;  // column and expert, where each has a column
  std::size_t width = 0;                                     // columns that a line must have
};

std::string plain(const std::string& name) {
  std::string word = to_lower(name);
  std::erase(word, '"');
  std::ranges::replace(word, ' ', '_');
  std::ranges::replace(word, '-', '_');
  return word;
}

/// The expert that "7", "expert_7" or "e7" names.
std::optional<std::size_t> expert_of(const std::string& word) {
  for (const char* prefix : {"expert_", "expert", "e", ""}) {
    if (!word.starts_with(prefix)) continue;
    const std::string digits = word.substr(std::string_view(prefix).size());
    if (!digits.empty() && digits.size() < 6 && digits.find_first_not_of("0123456789") == std::string::npos)
      return static_cast<std::size_t>(std::stoul(digits));
  }
  return std::nullopt;
}

CsvColumns columns_of(const CsvLines& lines) {
  std::vector<std::string> words;
  for (const std::string& cell : lines.cells()) words.push_back(plain(cell));
  CsvColumns columns;
  const auto find = [&](const std::vector<std::string>& names) -> std::optional<std::size_t> {
    for (const std::string& name : names)
      if (const auto found = std::ranges::find(words, name); found != words.end()) {
        const auto column = static_cast<std::size_t>(found - words.begin());
        columns.width = std::max(columns.width, column + 1);
        return column;
      }
    return std::nullopt;
  };
  columns.layer = find(layer_names);
  columns.step = find(step_names);
  columns.expert = find(expert_names);
  columns.count = find(count_names);
  if (columns.layer && columns.expert && columns.count) return columns;
  for (std::size_t column = 0; column < words.size() && columns.layer && !columns.expert; ++column)
    if (const auto expert = expert_of(words[column])) columns.experts.emplace_back(column, *expert);
  if (columns.experts.size() > 1) {
    columns.width = std::max(columns.width, columns.experts.back().first + 1);
    return columns;
  }
  throw DataError(
      lines.where() + ": the header '" + join(lines.cells(), ",").substr(0, 80) +
      "' lacks a column of layer, expert, count (and step, where there is a time axis), or of layer and one "
      "for each expert");
}

/// [layer, expert], a line a layer.
NumberArray read_matrix(CsvLines& lines) {
  NumberArray array;
  array.extents = {0, 0};
  while (lines.next()) {
    const std::size_t width = lines.cells().size();
    if (array.extents[0] == 0) array.extents[1] = width;
    if (width != array.extents[1])
      throw DataError(
          fmt::format("{}: has {} numbers, but the lines before have {}", lines.where(), width, array.extents[1]));
    for (std::size_t column = 0; column < width; ++column) {
      array.values.push_back(number_in_file([&] { return parse_number(lines.cells()[column], lines.where()); }));
      array.whole = array.whole && array.values.back() == std::floor(array.values.back());
    }
    ++array.extents[0];
  }
  return array;
}

bool has_header(CsvLines& lines) {
  const bool any = lines.next();
  const bool numbers =
      any && std::ranges::all_of(lines.cells(), [](const auto& cell) { return as_number(cell).has_value(); });
  lines.restart();
  return !numbers;
}

/// Counts by step and layer, then expert.
struct SparseCounts {
  std::map<std::pair<std::int64_t, std::int32_t>, std::map<std::size_t, double>> rows;
  std::size_t expert_count = 0, counts = 0, repeated = 0;

  void add(std::int64_t step, std::int64_t layer, std::size_t expert, double count) {
    const auto [place, added] = rows[{step, static_cast<std::int32_t>(layer)}].emplace(expert, 0.0);
    place->second += count;
    repeated += !added;
    expert_count = std::max(expert_count, expert + 1);
    ++counts;
  }
};

void add_line(SparseCounts& sparse, const CsvLines& lines, const CsvColumns& columns) {
  const std::int64_t layer = lines.whole_number(*columns.layer, "layer");
  const std::int64_t step = columns.step ? lines.whole_number(*columns.step, "step") : 0;
  const std::int64_t expert = columns.expert ? lines.whole_number(*columns.expert, "expert") : 0;
  if (layer < 0 || layer > 65535 || expert < 0 || expert > 65535)
    throw DataError(lines.where() + ": layer and expert must be 0 to 65535");
  if (columns.expert)
    return sparse.add(step, layer, static_cast<std::size_t>(expert), lines.number(*columns.count, "count"));
  for (const auto& [column, number] : columns.experts) sparse.add(step, layer, number, lines.number(column, "count"));
}

SparseCounts read_lines(CsvLines& lines, const CsvColumns& columns, std::vector<std::string>& notes) {
  SparseCounts sparse;
  while (lines.next()) {
    if (lines.cells().size() < columns.width) {
      if (!lines.is_cut() || sparse.counts == 0) throw DataError(lines.where() + ": has fewer columns than the header");
      notes.push_back("the last line is cut and was left out, as when its writer is killed");
      break;
    }
    add_line(sparse, lines, columns);
  }
  // Counts of 0 may be left out, but not nearly all of them.
  if (sparse.rows.size() * sparse.expert_count > 1024 * sparse.counts + 65536)
    throw DataError(fmt::format("{}: {} lines are too few for {} pairs of step and layer with {} experts", lines.path(),
                                sparse.counts, sparse.rows.size(), sparse.expert_count));
  if (sparse.repeated > 0)
    notes.push_back(fmt::format("{} lines name a step, layer and expert again and were added", sparse.repeated));
  return sparse;
}

}  // namespace

ImportedCounts read_csv_counts(const std::string& path, const ImportOptions& options) {
  CsvLines lines(path, read_whole_text(path, largest_text_bytes));
  if (!has_header(lines)) return counts_of_array(read_matrix(lines), options, path);
  ImportedCounts imported;
  if (!lines.next()) throw DataError(path + ": holds no line of counts");
  const CsvColumns columns = columns_of(lines);
  const SparseCounts sparse = read_lines(lines, columns, imported.notes);
  const std::size_t expert_count = std::max(sparse.expert_count, options.expert_count);
  CountCollector collector(path);
  for (const auto& [key, row] : sparse.rows) {
    std::vector<double> experts(expert_count, 0.0);
    for (const auto& [expert, count] : row) experts[expert] = count;
    collector.add(key.first, key.second, experts);
    if (imported.step_numbers.empty() || imported.step_numbers.back() != key.first)
      imported.step_numbers.push_back(key.first);
  }
  collector.finish(imported, options);
  imported.has_steps = columns.step.has_value();
  imported.sparse = true;
  imported.source = "CSV of counts";
  if (options.expert_count == 0 && columns.expert)
    imported.notes.push_back(
        fmt::format("{} experts, from the largest number in the file: say it with {} or {} if there are more",
                    expert_count, on_command_line("model"), on_command_line("experts")));
  return imported;
}

void widen(Cube<double>& counts, std::size_t columns) {
  if (columns <= counts.columns()) return;
  Cube<double> wide(counts.planes(), counts.rows(), columns);
  for (std::size_t step = 0; step < counts.planes(); ++step)
    for (std::size_t layer = 0; layer < counts.rows(); ++layer)
      std::ranges::copy(counts.row(step, layer), wide.row(step, layer).begin());
  counts = std::move(wide);
}

}  // namespace gem
