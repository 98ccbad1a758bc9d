#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace gem {

/// A text table: header, a row of units under it, rows; numbers to the right. Pastes well into a mail or an issue.
/// Nothing is wider than a terminal: where all columns don't fit, those that hold nothing but "-" are left out, then
/// those that its maker marked, in the order of their marks; then the widest words are shortened in their middle, and a
/// line below says so.
class Table {
 public:
  struct Column {
    std::string name;
    std::string unit;
    int leave_out = 0;  ///< 1 is left out first where the table is too wide, then 2, ...; 0 stays
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  /// As many cells as columns.
  void add_row(std::vector<std::string> cells);
  /// Lines of at most `width` letters; `all_there` ends the line on what was left out, "summary.csv has all", or, where
  /// it is empty, that the program's JSON has all.
  std::string to_string(std::size_t width = 80, const std::string& all_there = "") const;

 private:
  struct Layout;
  Layout whole_layout() const;
  void leave_out_columns(Layout& layout, std::size_t width) const;
  void shorten_words(Layout& layout, std::size_t width) const;
  std::string title(std::size_t column) const;

  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace gem
