#include "interchange/table_tree.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "interchange/import_text.hpp"
#include "interchange/npy.hpp"
#include "interchange/torch_file.hpp"
#include "platform/file_system/zip_input.hpp"

namespace gem {
namespace {

constexpr std::size_t deepest_nesting = 64;
constexpr std::size_t most_values = std::size_t{1} << 22;       // of a pickle, tensors as one
constexpr std::size_t most_json_values = std::size_t{1} << 23;  // lists of numbers as one
constexpr std::size_t letters_of_value = 64;                    // of its text; a longer one counts as more
constexpr std::size_t letters_of_place = 256;                   // likewise

TableNode node_at(std::string where) {
  TableNode node;
  node.where = std::move(where);
  return node;
}

TableNode node_of_array(NumberArray array, std::string where) {
  TableNode node = node_at(std::move(where));
  node.kind = TableNode::Kind::Array;
  node.array = std::move(array);
  return node;
}

TableNode node_of_value(std::string text, std::optional<double> number, std::string where) {
  TableNode node = node_at(std::move(where));
  node.kind = TableNode::Kind::Value;
  node.text = std::move(text);
  node.number = number;
  return node;
}

std::optional<double> number_in_text(const std::string& text) {
  try {
    return parse_number(text, "");
  } catch (const UsageError&) {
    return std::nullopt;
  }
}

/// A list of single numbers as an array.
void join_numbers(TableNode& list) {
  if (!std::ranges::all_of(list.items, [](const TableNode& item) { return item.number.has_value(); })) return;
  NumberArray array;
  for (const TableNode& item : list.items) {
    array.values.push_back(*item.number);
    array.whole = array.whole && *item.number == std::floor(*item.number);
  }
  array.extents = {array.values.size()};
  list = node_of_array(std::move(array), std::move(list.where));
}

/// A list of arrays of equal extents as one array.
void join_arrays(TableNode& list) {
  const NumberArray& first = list.items[0].array;
  if (!std::ranges::all_of(list.items, [&](const TableNode& item) {
        return item.kind == TableNode::Kind::Array && item.array.extents == first.extents;
      }))
    return;
  NumberArray array;
  array.extents = first.extents;
  array.extents.insert(array.extents.begin(), list.items.size());
  for (const TableNode& item : list.items) {
    array.values.insert(array.values.end(), item.array.values.begin(), item.array.values.end());
    array.whole = array.whole && item.array.whole;
  }
  list = node_of_array(std::move(array), std::move(list.where));
}

void join_items(TableNode& list) {
  if (list.items.empty()) return;  // no extents to tell
  join_numbers(list);
  if (list.kind == TableNode::Kind::List) join_arrays(list);
}

/// Counts down the values that are still taken from a pickle, whose parts may be in it many times over.
TableNode tree_of_pickle(const TorchFile& file, Pickle::Index value, const std::string& where, std::size_t depth,
                         std::size_t& left) {
  const Pickle& pickle = file.pickle();
  const std::size_t letters = pickle.kind(value) == Pickle::Kind::Text ? pickle.text(value).size() : 0;
  const std::size_t taken = 1 + letters / letters_of_value + where.size() / letters_of_place;
  if (depth == deepest_nesting || left < taken)
    file.reject("is nested too deep, or holds too many values, for a table of counts; save tensors");
  left -= taken;
  TableNode node = node_at(where);
  switch (pickle.kind(value)) {
    case Pickle::Kind::Tensor: {
      const std::string what = where == file.path() ? "the tensor" : where.substr(file.path().size() + 2);
      return node_of_array(file.tensor(value, pickle.tensor(value).extents.size(), what), where);
    }
    case Pickle::Kind::Integer:
      return node_of_value(std::to_string(pickle.integer(value)), static_cast<double>(pickle.integer(value)), where);
    case Pickle::Kind::Text:
      return node_of_value(pickle.text(value), number_in_text(pickle.text(value)), where);
    case Pickle::Kind::List:
      node.kind = TableNode::Kind::List;
      for (std::size_t i = 0; i < pickle.items(value).size(); ++i)
        node.items.push_back(
            tree_of_pickle(file, pickle.items(value)[i], fmt::format("{}[{}]", where, i), depth + 1, left));
      join_items(node);
      return node;
    case Pickle::Kind::Dictionary:
      node.kind = TableNode::Kind::Members;
      for (std::size_t i = 0; i + 1 < pickle.items(value).size(); i += 2) {
        const Pickle::Index key = pickle.items(value)[i];
        const bool is_text = pickle.kind(key) == Pickle::Kind::Text;
        if (!is_text && pickle.kind(key) != Pickle::Kind::Integer) continue;
        node.keys.push_back(is_text ? pickle.text(key) : std::to_string(pickle.integer(key)));
        node.items.push_back(
            tree_of_pickle(file, pickle.items(value)[i + 1], where + ": " + node.keys.back(), depth + 1, left));
      }
      return node;
    default:
      return node;
  }
}

TableNode tree_of_npz(const std::string& path) {
  const ZipInput archive(path);
  TableNode node = node_at(path);
  node.kind = TableNode::Kind::Members;
  for (const ZipInput::Entry& entry : archive.entries()) {
    const std::string bytes = archive.read(entry);
    const std::string origin = path + ": " + entry.name;
    node.keys.push_back(entry.name.ends_with(".npy") ? entry.name.substr(0, entry.name.size() - 4) : entry.name);
    NumberArray array;
    try {
      array = parse_npy(std::as_bytes(std::span(bytes)), origin);
    } catch (const DataError&) {
      if (archive.entries().size() == 1) throw;
      node.items.push_back(node_at(origin));  // texts beside the arrays, as a model's name
      continue;
    }
    if (array.extents.empty() && array.values.size() == 1)
      node.items.push_back(node_of_value(fmt::format("{:.17g}", array.values[0]), array.values[0], origin));
    else
      node.items.push_back(node_of_array(std::move(array), origin));
  }
  return node;
}

/// A list of numbers alone.
std::optional<NumberArray> numbers_of_json(const JsonNode& list) {
  NumberArray array;
  array.extents = {list.size()};
  array.values.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const JsonNode item = list.item(i);
    if (!item.is_number()) return std::nullopt;
    array.values.push_back(item.number());
    array.whole = array.whole && array.values.back() == std::floor(array.values.back());
  }
  return array;
}

/// Counts down the values that are still taken.
TableNode tree_of_json(const JsonNode& node, std::size_t& left) {
  if (left-- == 0) node.reject("is one value more than are read; give the steps in several files, as lists of numbers");
  if (node.is_number()) return node_of_value(fmt::format("{:.17g}", node.number()), node.number(), node.where());
  if (node.is_text()) return node_of_value(node.text(), number_in_text(node.text()), node.where());
  if (node.is_boolean()) return node_of_value(node.boolean() ? "true" : "false", std::nullopt, node.where());
  TableNode tree = node_at(node.where());
  if (node.is_object()) {
    tree.kind = TableNode::Kind::Members;
    tree.keys = node.keys();
    for (std::size_t i = 0; i < tree.keys.size(); ++i) tree.items.push_back(tree_of_json(node.member(i), left));
  } else if (node.is_array()) {
    if (auto numbers = numbers_of_json(node)) return node_of_array(std::move(*numbers), node.where());
    tree.kind = TableNode::Kind::List;
    tree.items.reserve(node.size());
    for (std::size_t i = 0; i < node.size(); ++i) tree.items.push_back(tree_of_json(node.item(i), left));
    join_items(tree);
  }
  return tree;
}

}  // namespace

std::string TableNode::described() const {
  switch (kind) {
    case Kind::Nothing:
      return "nothing";
    case Kind::Value:
      return number ? "a number" : "the text '" + text.substr(0, 40) + "'";
    case Kind::Array:
      return "numbers " + extents_text(array.extents);
    case Kind::List:
      return fmt::format("a list of {} items", items.size());
    case Kind::Members:
      break;
  }
  std::string names;
  for (std::size_t i = 0; i < keys.size() && i < 6; ++i) names += (i > 0 ? ", '" : "'") + keys[i].substr(0, 60) + "'";
  return "an object with the members " + names + (keys.size() > 6 ? ", ..." : "");
}

TableNode read_table_tree(const std::string& path, std::vector<std::string>& notes) {
  std::size_t left = most_json_values;
  if (path.ends_with(".json")) return tree_of_json(read_large_json(path).root(), left);
  if (path.ends_with(".jsonl")) {
    TableNode lines = node_at(path);
    lines.kind = TableNode::Kind::List;
    for_each_json_line(path, notes,
                       [&](const JsonDocument& line) { lines.items.push_back(tree_of_json(line.root(), left)); });
    join_items(lines);
    return lines;
  }
  if (path.ends_with(".npy")) return node_of_array(read_npy(path), path);
  if (path.ends_with(".npz")) return tree_of_npz(path);
  if (is_torch_name(path)) {
    const TorchFile file(path);
    left = most_values;
    return tree_of_pickle(file, file.pickle().root(), path, 0, left);
  }
  throw UsageError(path +
                   ": counts are read from .csv, .json, .jsonl, .npy, .npz and .pt files; give one with such a "
                   "name");
}

}  // namespace gem
