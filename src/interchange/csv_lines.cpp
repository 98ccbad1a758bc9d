#include "interchange/csv_lines.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

std::vector<std::string> cells_of(const std::string& line, char separator) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') {
      if (quoted && i + 1 < line.size() && line[i + 1] == '"')
        cells.back() += line[++i];
      else
        quoted = !quoted;
    } else if (line[i] == separator && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += line[i];
    }
  }
  for (std::string& cell : cells) cell = trim(cell);
  if (cells.size() > 1 && cells.back().empty()) cells.pop_back();  // a separator behind the last one
  if (separator == ' ') std::erase_if(cells, [](const std::string& cell) { return cell.empty(); });
  return cells;
}

}  // namespace

CsvLines::CsvLines(std::string path, std::string text) : path_(std::move(path)), text_(std::move(text)) {
  if (text_.starts_with("\xef\xbb\xbf")) text_.erase(0, 3);  // byte order mark
  if (text_.find('\0') != std::string::npos)
    throw DataError(path_ +
                    ": holds bytes of 0, as text in UTF-16 or another file than a table does; save it as UTF-8");
  const std::string first = next_line();
  separator_ = ' ';
  std::size_t most = 0;
  for (const char separator : {',', ';', '\t', '|'})
    if (const auto times = cells_of(first, separator).size() - 1; times > most) {
      most = times;
      separator_ = separator;
    }
  restart();
}

std::string CsvLines::next_line() {
  while (begin_ < text_.size()) {
    const std::size_t end = std::min(text_.find('\n', begin_), text_.size());
    std::string line(std::string_view(text_).substr(begin_, end - begin_));
    begin_ = end + 1;
    ++number_;
    const std::string telling = trim(line);
    if (telling.empty() || telling[0] == '#') continue;
    if (line.ends_with('\r')) line.pop_back();
    return line;
  }
  return "";
}

bool CsvLines::next() {
  const std::string line = next_line();
  if (line.empty()) return false;
  cells_ = cells_of(line, separator_);
  return true;
}

std::string CsvLines::where() const {
  return fmt::format("{}, line {}", path_, number_);
}

}  // namespace gem
