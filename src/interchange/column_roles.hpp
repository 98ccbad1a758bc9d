#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gem {

/// What a column of a table, a member of a record or a level of nested tables says.
enum class Role : std::uint8_t { None, Step, Layer, Expert, Count, Rank, Slot, LocalExpert, Model };

/// "step", "layer", ...: as options and messages call a role.
std::string role_name(Role role);

/// The words of a name in lower case, whatever divides them: "layerID", "Layer id" and "layer-id" are layer and id, and
/// digits are words of their own.
std::vector<std::string> words_of_name(std::string_view name);

/// The role that tables usually give a column of this name, and how plain the name is: 0 is the plainest.
struct NamedRole {
  Role role = Role::None;
  std::size_t order = 0;
};
NamedRole role_of_name(std::string_view name);

/// The role whose plural the name is ("layers", "moe_layers", "iterations"), as members are called that hold one thing
/// a layer or step; None for any other name.
Role role_of_plural(std::string_view name);

/// A name that counts something: "layer_3", "e7", "model.layers.3.mlp", or a number alone, whose role is None.
struct NumberedName {
  Role role = Role::None;
  std::int64_t number = 0;
};
/// The numbers in a name, each with its role, none of them twice ("step_0_layer_3"); empty if the name isn't made of
/// them.
std::vector<NumberedName> numbers_in_name(std::string_view name);

/// What --columns says: the names of a table's columns by what they hold. UsageError for anything else.
struct ColumnChoice {
  std::map<Role, std::string> names;  ///< by role; a column's number from 1 where the table has no header
  std::vector<std::string> ignored;   ///< columns whose lines are added together
  bool no_header = false;             ///< "none": the first line holds numbers like the others

  bool empty() const { return names.empty() && ignored.empty() && !no_header; }
  /// The role that the user gave a column, if any.
  std::optional<Role> role_of(std::string_view name) const;
  bool ignores(std::string_view name) const;
};
ColumnChoice parse_columns(const std::string& text, const std::string& what);

/// The whole number that a text is, also as "3.0" or in quotes; nothing for any other text.
std::optional<std::int64_t> whole_number_in(std::string_view text);

}  // namespace gem
