#include "platform/command_line/csv_tables.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "base/text.hpp"

namespace gem {
namespace {

using Row = std::vector<std::pair<std::string, std::string>>;  // column and cell

struct CsvTable {
  std::string name;
  std::vector<std::string> columns{};
  std::vector<Row> rows{};
};

bool is_list_of(const JsonNode& node, bool (JsonNode::*kind)() const) {
  if (!node.is_array() || node.size() == 0) return false;
  for (std::size_t i = 0; i < node.size(); ++i)
    if (!(node.item(i).*kind)()) return false;
  return true;
}

std::string scalar_text(const JsonNode& node) {
  if (node.is_null()) return "";
  if (node.is_boolean()) return node.boolean() ? "true" : "false";
  if (node.is_integer()) return fmt::format("{}", node.integer());
  if (node.is_number()) return fmt::format("{}", node.number());
  return node.text();
}

std::string cell_text(const JsonNode& node) {
  if (!node.is_array()) return scalar_text(node);
  std::vector<std::string> items;
  for (std::size_t i = 0; i < node.size(); ++i) items.push_back(cell_text(node.item(i)));
  return join(items, is_list_of(node, &JsonNode::is_array) ? " | " : "; ");
}

std::string quoted_cell(std::string cell) {
  if (cell.find_first_of(",\"\n\r") == std::string::npos) return cell;
  std::string quoted = "\"";
  for (const char letter : cell) quoted += letter == '"' ? std::string("\"\"") : std::string(1, letter);
  return quoted + "\"";
}

std::string line_of(std::vector<std::string> cells) {
  std::ranges::transform(cells, cells.begin(), quoted_cell);
  return join(cells, ",") + "\n";
}

class Tables {
 public:
  explicit Tables(const JsonNode& result) {
    tables_.push_back({"result", {"name", "value"}});
    Row values;
    read(result, "", "", {}, values);
    for (const auto& [name, value] : values) tables_.front().rows.push_back({{"name", name}, {"value", value}});
    std::erase_if(tables_, [](const CsvTable& table) { return table.rows.empty() || table.columns.empty(); });
  }

  std::string text() const {
    std::string text;
    for (const CsvTable& table : tables_) {
      if (tables_.size() > 1) text += (text.empty() ? "# " : "\n# ") + table.name + "\n";
      text += line_of(table.columns);
      for (const Row& row : table.rows) {
        std::vector<std::string> cells(table.columns.size());
        for (const auto& [column, cell] : row)
          cells[static_cast<std::size_t>(std::ranges::find(table.columns, column) - table.columns.begin())] = cell;
        text += line_of(std::move(cells));
      }
    }
    return text;
  }

 private:
  // Puts the object's members behind `row`; lists of objects become tables, whose names begin with that of `table`.
  void read(const JsonNode& object, const std::string& prefix, const std::string& table, const Row& owner, Row& row) {
    for (std::size_t i = 0; i < object.keys().size(); ++i) {
      const JsonNode value = object.member(i);
      const std::string name = prefix + object.keys()[i];
      if (value.is_object())
        read(value, name + "_", table, owner, row);
      else if (is_list_of(value, &JsonNode::is_object))
        add_table(value, table + name, owner_of(owner, table, row));
      else
        row.emplace_back(name, cell_text(value));
    }
  }

  // What rows of a table within this row of `table` begin with.
  Row owner_of(Row owner, const std::string& table, const Row& row) const {
    if (table.empty()) return owner;
    if (row.empty())
      owner.emplace_back("of_row", fmt::format("{}", row_of_.at(table) + 1));
    else
      owner.emplace_back("of_" + row.front().first, row.front().second);
    return owner;
  }

  void add_table(const JsonNode& list, const std::string& name, const Row& owner) {
    std::size_t at = 0;
    while (at < tables_.size() && tables_[at].name != name) ++at;
    if (at == tables_.size()) tables_.push_back({name});
    for (std::size_t i = 0; i < list.size(); ++i) {
      Row own;
      row_of_[name + "_"] = i;
      read(list.item(i), "", name + "_", owner, own);
      Row row = owner;
      row.insert(row.end(), own.begin(), own.end());
      for (const auto& [column, cell] : row)
        if (std::ranges::find(tables_[at].columns, column) == tables_[at].columns.end())
          tables_[at].columns.push_back(column);
      tables_[at].rows.push_back(std::move(row));
    }
  }

  std::deque<CsvTable> tables_;
  std::map<std::string, std::size_t> row_of_;  // by the beginning of the names of tables within: from 0
};

}  // namespace

std::string csv_tables(const JsonNode& result) {
  return Tables(result).text();
}

}  // namespace gem
