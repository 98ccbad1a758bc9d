#pragma once

#include <optional>
#include <string>
#include <vector>

#include "interchange/number_array.hpp"

namespace gem {

/// What a JSON, NPZ or .pt file holds, in one form: members by name, lists, arrays of numbers, and single values. Lists
/// of numbers, and of such lists of equal lengths, are arrays.
struct TableNode {
  enum class Kind { Nothing, Value, Array, List, Members };

  Kind kind = Kind::Nothing;
  std::string where;             ///< file and way, for messages
  std::string text;              ///< of a Value, as written
  std::optional<double> number;  ///< of a Value that is one, or a text of one
  NumberArray array;
  std::vector<std::string> keys;  ///< of Members
  std::vector<TableNode> items;   ///< of a List or Members

  bool is_table() const { return kind == Kind::Array || kind == Kind::List || kind == Kind::Members; }
  /// "a text", "an object with the members 'a', 'b'", ...: for messages.
  std::string described() const;
};

/// The tree of a .json, .jsonl (a list of its lines), .npy, .npz or .pt file; `notes` gets what was left out.
/// UsageError for any other name.
TableNode read_table_tree(const std::string& path, std::vector<std::string>& notes);

}  // namespace gem
