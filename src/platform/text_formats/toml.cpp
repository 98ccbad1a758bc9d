#include "platform/text_formats/toml.hpp"

#include <fmt/core.h>
#include <sstream>

namespace gem {
namespace {

// What the library takes for granted of a text, and isn't so.
struct NotToml {};

[[noreturn]] void refuse_assumption() {
  throw NotToml{};
}

}  // namespace
}  // namespace gem

// The library asserts what damaged text can break ("[[" at a line's end), and without assertions goes on all the same.
#undef NDEBUG
#define TOML_ASSERT(condition) ((condition) ? static_cast<void>(0) : gem::refuse_assumption())

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

JsonValue convert(const toml::node& node) {
  JsonValue result;
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
    auto object = std::make_unique<JsonObject>();
    for (const auto& [name, member] : *table) {
      object->keys.emplace_back(name.str());
      object->values.push_back(convert(member));
    }
    result.value = std::move(object);
  } else if (const auto* array = node.as_array()) {
    std::vector<JsonValue> items;
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

}  // namespace

JsonDocument parse_toml(std::string_view text, const std::string& origin) {
  try {
    return {origin, convert(toml::parse(text, origin))};
  } catch (const toml::parse_error& error) {
    throw DataError(fmt::format("{}:{}: {}", origin, error.source().begin.line, error.description()));
  } catch (const NotToml&) {
    throw DataError(
        fmt::format("{}: is not TOML: a key or a bracket isn't followed by what belongs to it on its line", origin));
  }
}

JsonDocument read_toml(const std::string& path) {
  return parse_toml(read_whole_text(path, most_bytes), path);
}

}  // namespace gem
