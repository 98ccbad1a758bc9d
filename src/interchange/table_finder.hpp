#pragma once

#include "interchange/table_input.hpp"
#include "interchange/table_tree.hpp"

namespace gem {

/// Finds the counts in a tree by its members' names, its shape and its values, and adds them: arrays, tables by layer
/// or step in any order of nesting, lists of records. DataError where it holds maps or ids of experts instead, or what
/// its levels are can't be told.
void add_tree(const TableNode& root, TableInput& input);

}  // namespace gem
