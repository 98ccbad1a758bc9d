#include "platform/text_formats/toml.hpp"

#include <fmt/core.h>
#include <sstream>

// The library's own code is compiled here alone, which works with and without its shared library.
#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {
namespace {

constexpr std::uint64_t most_bytes = std::uint64_t{16} << 20;

TomlTable convert(const toml::table& table);

TomlValue convert(const toml::node& node) {
  TomlValue result;
  result.line = node.source().begin.line;
  if (const auto* flag = node.as_boolean()) {
    result.value = flag->get();
  } else if (const auto* integer = node.as_integer()) {
    result.value = integer->get();
  } else if (const auto* number = node.as_floating_point()) {
    result.value = number->get();
  } else if (const auto* text = node.as_string()) {
    result.value = text->get();
  } else if (const auto* table = node.as_table()) {
    result.value = convert(*table);
  } else if (const auto* array = node.as_array()) {
    std::vector<TomlValue> items;
    for (const toml::node& item : *array) items.push_back(convert(item));
    result.value = std::move(items);
  } else {
    std::ostringstream text_of_date;
    node.visit([&](const auto& value) {
      if constexpr (toml::is_date<decltype(value)> || toml::is_time<decltype(value)> ||
                    toml::is_date_time<decltype(value)>)
        text_of_date << value.get();
    });
    result.value = text_of_date.str();
  }
  return result;
}

TomlTable convert(const toml::table& table) {
  TomlTable result;
  result.line = table.source().begin.line;
  for (const auto& [name, node] : table) result.members.push_back({std::string(name.str()), convert(node)});
  return result;
}

}  // namespace

const TomlMember* TomlTable::find(std::string_view name) const {
  for (const TomlMember& member : members)
    if (member.name == name) return &member;
  return nullptr;
}

std::string TomlValue::kind() const {
  switch (value.index()) {
    case 0:
      return "true or false";
    case 1:
      return std::get<std::int64_t>(value) < 0 ? "below 0" : "a whole number";
    case 2:
      return "a number";
    case 3:
      return "a text";
    case 4:
      return "a list";
    default:
      return "a table";
  }
}

TomlTable parse_toml(std::string_view text, const std::string& origin) {
  try {
    return convert(toml::parse(text, origin));
  } catch (const toml::parse_error& error) {
    throw DataError(fmt::format("{}:{}: {}", origin, static_cast<unsigned>(error.source().begin.line),
                                std::string(error.description())));
  }
}

TomlTable read_toml(const std::string& path) {
  return parse_toml(read_whole_text(path, most_bytes), path);
}

}  // namespace gem
