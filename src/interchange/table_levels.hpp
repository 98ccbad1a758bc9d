#pragma once

#include <string>
#include <vector>

#include "interchange/column_roles.hpp"
#include "interchange/table_input.hpp"
#include "interchange/table_tree.hpp"

namespace gem {

/// A level of nesting above counts: which of its steps, layers, ranks or experts they belong to.
struct Level {
  Role role = Role::None;  ///< None: not said
  bool is_key = false;     ///< said by a name or value, not by the place in a list
  std::int64_t number = 0;
  std::string text;  ///< as written
};

/// Counts that were found: a single one, or an array, with the levels above and the axes of the array.
struct TableLeaf {
  std::vector<Level> path;
  std::vector<Role> dimensions;  ///< of the array; empty for a single count
  const TableNode* node = nullptr;
  const NumberArray* layer_ids = nullptr;  ///< the model's own numbers of layers in a list beside; or null
  double value = 0.0;                      ///< a single count
};

/// Decides what the levels are whose role isn't said, for all leaves alike, and adds the counts. `unread` are the names
/// of single values that say something unknown. DataError where leaves differ in their levels, or where it can't be
/// told which level is the step and which the layer.
void add_leaves(std::vector<TableLeaf>& leaves, const std::vector<std::string>& unread, const TableNode& root,
                TableInput& input);

}  // namespace gem
