#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gem {

/// The lines of a table in text that are neither empty nor comments, cut into cells at commas, semicolons, tabs, bars
/// or, where there is none of these, white space. Cells in quotes may hold the separator; a byte order mark is passed
/// over.
class CsvLines {
 public:
  CsvLines(std::string path, std::string text);

  /// Goes on to the next line; false at the end.
  bool next();
  void restart() { begin_ = number_ = 0; }

  const std::vector<std::string>& cells() const { return cells_; }
  /// File and line, for messages.
  std::string where() const;
  const std::string& path() const { return path_; }
  /// Whether the file ends within this line, as when its writer was killed.
  bool is_cut() const { return begin_ > text_.size() && !text_.ends_with('\n'); }

 private:
  std::string next_line();

  std::string path_, text_;
  std::vector<std::string> cells_;
  std::size_t begin_ = 0, number_ = 0;
  char separator_ = ',';
};

}  // namespace gem
