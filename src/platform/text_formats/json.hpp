#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace gem {

struct JsonObject;

/// A value of a JSON or TOML text as it was read; the members of JSON's objects keep their order.
struct JsonValue {
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, std::vector<JsonValue>,
               std::unique_ptr<JsonObject>>
      value;
  std::size_t line = 0;  ///< where it begins, from 1; 0 where that is not known, as in JSON
  JsonValue();
  JsonValue(JsonValue&&) noexcept;
  JsonValue& operator=(JsonValue&&) noexcept;
  ~JsonValue();
};

/// Keys with their values, in the order of the file.
struct JsonObject {
  std::vector<std::string> keys;
  std::vector<JsonValue> values;
};

/// A value within a document, with the way to it for messages. A DataError names file, way, what was found and what
/// should be there. Valid while the document lives.
class JsonNode {
 public:
  JsonNode(const JsonValue* value, std::string where) : value_(value), where_(std::move(where)) {}

  bool is_object() const { return std::holds_alternative<std::unique_ptr<JsonObject>>(value_->value); }
  bool is_array() const { return std::holds_alternative<std::vector<JsonValue>>(value_->value); }
  bool is_null() const { return std::holds_alternative<std::nullptr_t>(value_->value); }
  bool is_boolean() const { return std::holds_alternative<bool>(value_->value); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_->value); }
  /// A finite one.
  bool is_number() const;
  bool is_text() const { return std::holds_alternative<std::string>(value_->value); }
  /// "true or false", "a whole number", "a list", ...: what it is, for messages.
  std::string kind() const;
  /// File and way, for messages.
  const std::string& where() const { return where_; }
  std::size_t line() const { return value_->line; }

  /// Names of an object's members in their order.
  const std::vector<std::string>& keys() const;
  bool has(std::string_view key) const;
  JsonNode at(std::string_view key) const;
  /// The value of the object's member number `index`.
  JsonNode member(std::size_t index) const;

  std::size_t size() const;  ///< of an array
  JsonNode item(std::size_t index) const;

  std::int64_t integer() const;
  /// A whole number of least .. greatest.
  std::int64_t integer(std::int64_t least, std::int64_t greatest) const;
  bool boolean() const;
  double number() const;
  const std::string& text() const;
  /// An array of whole numbers, each of least .. greatest.
  std::vector<std::int32_t> integers(std::int32_t least, std::int32_t greatest) const;

  /// Throws DataError "WHERE: WHAT".
  [[noreturn]] void reject(const std::string& what) const;

 private:
  [[noreturn]] void reject_kind(const std::string& wanted) const;

  const JsonValue* value_;
  std::string where_;
};

/// A JSON or TOML text, parsed. Of JSON is refused with a DataError: anything that is no JSON, a member named twice,
/// nesting deeper than 64.
class JsonDocument {
 public:
  JsonDocument(std::string origin, JsonValue value) : origin_(std::move(origin)), value_(std::move(value)) {}
  /// `origin` names the text in messages.
  static JsonDocument parse(std::string_view text, const std::string& origin);
  /// Reads a file of at most 64 MiB.
  static JsonDocument read(const std::string& path);

  JsonNode root() const { return {&value_, origin_}; }

 private:
  JsonDocument() = default;
  std::string origin_;
  JsonValue value_;
};

/// Where the name of a member stands in a JSON text, quotes left out.
struct JsonKeySpan {
  std::size_t begin;
  std::size_t end;
};

/// Where the names of the members stand in a valid JSON text: of the root object's, or of those of the object that is
/// the root's member `parent`. To rename members and leave everything else as it was.
std::vector<JsonKeySpan> json_key_spans(std::string_view text, std::string_view parent = "");

/// "[1, 2, 3]".
std::string to_json(std::span<const std::int32_t> numbers);
/// The text in quotes, with escapes.
std::string to_json(const std::string& text);

}  // namespace gem
