#include "platform/text_formats/json.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"
#include "platform/file_system/input_file.hpp"

namespace gem {

JsonValue::JsonValue() = default;
JsonValue::JsonValue(JsonValue&&) noexcept = default;
JsonValue& JsonValue::operator=(JsonValue&&) noexcept = default;
JsonValue::~JsonValue() = default;

namespace {

constexpr std::size_t deepest_nesting = 64;
constexpr std::uint64_t largest_file_bytes = std::uint64_t{64} << 20;

/// Builds our value from the parser's events.
class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(JsonValue& root) : root_(root) {}
  const std::string& error() const { return error_; }

  bool null() override { return place(nullptr); }
  bool boolean(bool value) override { return place(value); }
  bool number_integer(number_integer_t value) override { return place(std::int64_t{value}); }
  bool number_unsigned(number_unsigned_t value) override {
    if (std::in_range<std::int64_t>(value)) return place(static_cast<std::int64_t>(value));
    return place(static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t&) override { return place(value); }
  bool string(string_t& value) override { return place(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open(std::make_unique<JsonObject>()); }
  bool start_array(std::size_t) override { return open(std::vector<JsonValue>()); }
  bool key(string_t& name) override {
    object(*open_.back()).keys.push_back(std::move(name));
    return true;
  }
  bool end_object() override {
    std::vector<std::string> sorted = object(*open_.back()).keys;
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) return fail("names the member '" + *twice + "' twice");
    return end_array();
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }
  bool parse_error(std::size_t position, const std::string& token, const nlohmann::detail::exception&) override {
    return fail(fmt::format("is no valid JSON at byte {}, near '{}'; make it again", position, token.substr(0, 40)));
  }

 private:
  static JsonObject& object(JsonValue& value) { return *std::get<std::unique_ptr<JsonObject>>(value.value); }

  JsonValue& slot() {
    if (open_.empty()) return root_;
    if (auto* items = std::get_if<std::vector<JsonValue>>(&open_.back()->value)) return items->emplace_back();
    return object(*open_.back()).values.emplace_back();
  }
  template <class T>
  bool place(T value) {
    slot().value = std::move(value);
    return true;
  }
  template <class T>
  bool open(T value) {
    if (open_.size() == deepest_nesting) return fail(fmt::format("is nested deeper than {}", deepest_nesting));
    JsonValue& opened = slot();
    opened.value = std::move(value);
    open_.push_back(&opened);
    return true;
  }
  bool fail(const std::string& what) {
    error_ = what;
    return false;
  }

  JsonValue& root_;
  std::vector<JsonValue*> open_;  // the containers around the next value; only the innermost one grows
  std::string error_;
};

/// The way to a value for messages; of long names, and far inside, it ends with "...": each value has its own.
std::string longer_way(const std::string& way, std::string_view part) {
  constexpr std::size_t longest_part = 200, longest_way = 800;
  if (way.size() > longest_way) return way.ends_with("...") ? way : way + "...";
  return way + (part.size() > longest_part ? std::string(part.substr(0, longest_part)) + "..." : std::string(part));
}

std::size_t end_of_string(std::string_view text, std::size_t begin) {
  std::size_t end = begin;
  while (text[end] != '"') end += text[end] == '\\' ? 2 : 1;
  return end;
}

}  // namespace

bool JsonNode::is_number() const {
  const auto* value = std::get_if<double>(&value_->value);
  return is_integer() || (value != nullptr && std::isfinite(*value));
}

std::string JsonNode::kind() const {
  if (is_null()) return "nothing";
  if (is_boolean()) return "true or false";
  if (is_integer()) return "a whole number";
  if (is_number()) return "a number";
  if (is_text()) return "a text";
  if (is_array()) return "a list";
  return is_object() ? "a table" : "not a finite number";
}

const std::vector<std::string>& JsonNode::keys() const {
  if (!is_object()) reject_kind("an object");
  return std::get<std::unique_ptr<JsonObject>>(value_->value)->keys;
}

bool JsonNode::has(std::string_view key) const {
  return is_object() && std::ranges::find(keys(), key) != keys().end();
}

JsonNode JsonNode::at(std::string_view key) const {
  const auto found = std::ranges::find(keys(), key);
  if (found == keys().end()) reject("has no member '" + std::string(key) + "'");
  return member(static_cast<std::size_t>(found - keys().begin()));
}

JsonNode JsonNode::member(std::size_t index) const {
  const std::string& key = keys()[index];
  return {&std::get<std::unique_ptr<JsonObject>>(value_->value)->values[index], longer_way(where_, ": " + key)};
}

std::size_t JsonNode::size() const {
  if (!is_array()) reject_kind("an array");
  return std::get<std::vector<JsonValue>>(value_->value).size();
}

JsonNode JsonNode::item(std::size_t index) const {
  if (index >= size()) reject(fmt::format("has {} items, but must have more than {}", size(), index));
  return {&std::get<std::vector<JsonValue>>(value_->value)[index], longer_way(where_, fmt::format("[{}]", index))};
}

std::int64_t JsonNode::integer() const {
  const auto* value = std::get_if<std::int64_t>(&value_->value);
  if (value == nullptr) reject_kind("a whole number");
  return *value;
}

std::int64_t JsonNode::integer(std::int64_t least, std::int64_t greatest) const {
  const std::int64_t value = integer();
  if (value < least || value > greatest) reject(fmt::format("is {}, but must be {} to {}", value, least, greatest));
  return value;
}

bool JsonNode::boolean() const {
  const auto* value = std::get_if<bool>(&value_->value);
  if (value == nullptr) reject_kind("true or false");
  return *value;
}

double JsonNode::number() const {
  if (const auto* value = std::get_if<std::int64_t>(&value_->value)) return static_cast<double>(*value);
  const auto* value = std::get_if<double>(&value_->value);
  if (value == nullptr || !std::isfinite(*value)) reject_kind("a number");
  return *value;
}

const std::string& JsonNode::text() const {
  const auto* value = std::get_if<std::string>(&value_->value);
  if (value == nullptr) reject_kind("a text");
  return *value;
}

std::vector<std::int32_t> JsonNode::integers(std::int32_t least, std::int32_t greatest) const {
  std::vector<std::int32_t> numbers(size());
  const auto& items = std::get<std::vector<JsonValue>>(value_->value);
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const auto* value = std::get_if<std::int64_t>(&items[i].value);
    if (value == nullptr || *value < least || *value > greatest)
      item(i).integer(least, greatest);  // says what is wrong
    numbers[i] = static_cast<std::int32_t>(*value);
  }
  return numbers;
}

void JsonNode::reject_kind(const std::string& wanted) const {
  std::string found = "null";
  if (is_array()) found = "an array";
  if (is_number())
    found = fmt::format("{:g}", std::holds_alternative<double>(value_->value)
                                    ? std::get<double>(value_->value)
                                    : static_cast<double>(std::get<std::int64_t>(value_->value)));
  if (is_text()) found = "a text";
  if (std::holds_alternative<bool>(value_->value)) found = "true or false";
  if (is_object()) {
    std::string names;
    for (std::size_t i = 0; i < keys().size() && i < 3; ++i)
      names += (i > 0 ? ", '" : "'") + keys()[i].substr(0, 40) + "'";
    found = "an object" + (names.empty() ? "" : " with the members " + names + (keys().size() > 3 ? ", ..." : ""));
  }
  reject("is " + found + ", but must be " + wanted);
}

void JsonNode::reject(const std::string& what) const {
  throw DataError(where_ + ": " + what);
}

JsonDocument JsonDocument::parse(std::string_view text, const std::string& origin) {
  JsonDocument document;
  document.origin_ = origin;
  // The parser takes a zero byte for the end and would not look at what follows.
  if (text.find('\0') != std::string_view::npos) throw DataError(origin + ": holds a zero byte, so it is no JSON");
  Builder builder(document.value_);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) throw DataError(origin + ": " + builder.error());
  return document;
}

JsonDocument JsonDocument::read(const std::string& path) {
  return parse(read_whole_text(path, largest_file_bytes), path);
}

std::vector<JsonKeySpan> json_key_spans(std::string_view text, std::string_view parent) {
  std::vector<JsonKeySpan> spans;
  const std::size_t wanted_depth = parent.empty() ? 1 : 2;
  bool inside = parent.empty();
  std::size_t depth = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char letter = text[at];
    if (letter == '{' || letter == '[') ++depth;
    if (letter == '}' || letter == ']') --depth;
    if (letter != '"') continue;
    const std::size_t begin = at + 1;
    at = end_of_string(text, begin);
    const std::size_t next = text.find_first_not_of(" \t\r\n", at + 1);
    if (next == std::string_view::npos || text[next] != ':') continue;  // a value, not a name
    if (depth == wanted_depth && inside) spans.push_back({begin, at});
    if (depth == 1 && !parent.empty()) inside = text.substr(begin, at - begin) == parent;
  }
  return spans;
}

std::string to_json(std::span<const std::int32_t> numbers) {
  std::string text = "[";
  for (const std::int32_t number : numbers) text += (text.size() > 1 ? ", " : "") + std::to_string(number);
  return text + "]";
}

std::string to_json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace gem
