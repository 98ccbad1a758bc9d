#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gem {

struct TomlMember;

/// The members of a TOML table, in the order of their names.
struct TomlTable {
  std::vector<TomlMember> members;
  std::size_t line = 0;  ///< where it begins in the file, from 1

  /// The member of that name; null if there is none.
  const TomlMember* find(std::string_view name) const;
};

/// A value with its line. Dates and times come as text.
struct TomlValue {
  std::variant<bool, std::int64_t, double, std::string, std::vector<TomlValue>, TomlTable> value;
  std::size_t line = 0;

  /// "true or false", "a whole number", "below 0", ...: what it is, for messages.
  std::string kind() const;
};

/// A name of a table with its value.
struct TomlMember {
  std::string name;
  TomlValue value;
};

/// Reads a TOML file of at most 16 MiB. DataError naming file and line for text that is no TOML.
TomlTable read_toml(const std::string& path);

/// The same for text; `origin` names it in messages.
TomlTable parse_toml(std::string_view text, const std::string& origin);

}  // namespace gem
