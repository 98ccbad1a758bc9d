#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "interchange/table_levels.hpp"

namespace gem {

/// Whether a role says where a count belongs.
bool is_place(Role role);

/// Whether a name is one that totals beside the counts have as well.
bool is_vague_count(const std::string& name);

/// Whether a name is one of ids of experts.
bool names_ids(const std::string& name);

/// The step, layer, rank or expert that a single value says. DataError for a layer or an expert that is no whole
/// number.
Level level_of_value(const TableNode& value, Role role);

/// Members of an object by what their names say they are, in the order of the object.
struct TableMembers {
  std::vector<Level> places;                                     ///< single values that say where
  std::vector<std::pair<std::size_t, const TableNode*>> counts;  ///< by how plainly they are called
  std::vector<std::pair<std::vector<NumberedName>, const TableNode*>> numbered;
  std::vector<std::pair<Role, const TableNode*>> containers;
  std::vector<std::pair<std::size_t, const TableNode*>> values;  ///< single counts, by how plainly they are called
  std::vector<std::pair<std::string, const TableNode*>> maps, ids, tables;
  std::vector<std::string> slots, unread;
  std::optional<std::size_t> top_k;
};

/// The role of a member by its name. `item_role` is what the items of the list are whose item the object is: "id" of an
/// item of layers is the layer.
Role role_of_member(const std::string& name, const ColumnChoice& columns, Role item_role);

/// Members of an object by what they are; those that the columns ignore are left out. DataError as of level_of_value.
TableMembers sort_members(const TableNode& node, const ColumnChoice& columns, Role item_role);

}  // namespace gem
