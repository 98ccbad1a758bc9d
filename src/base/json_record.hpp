#pragma once

#include <fmt/core.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/array.hpp"

namespace gem {

/// An object of JSON under construction; its members stand in the order in which they were added. What programs print
/// with --json is made of these, beside the tables and from the same figures. Keys carry units: "straggler_s".
class JsonRecord {
 public:
  template <class Value>
  JsonRecord& add(std::string_view key, const Value& value) {
    members_ += (members_.empty() ? "" : ", ") + quoted(key) + ": " + text_of(value);
    return *this;
  }
  /// Puts the members of another record behind these.
  JsonRecord& add_all(const JsonRecord& other) {
    members_ += (members_.empty() || other.members_.empty() ? "" : ", ") + other.members_;
    return *this;
  }
  bool empty() const { return members_.empty(); }
  std::string text() const { return "{" + members_ + "}"; }

 private:
  static std::string quoted(std::string_view text);
  /// Exact; what JSON has no number for (NaN, infinity) is null.
  static std::string text_of(double number);
  static std::string text_of(float number) { return text_of(static_cast<double>(number)); }
  static std::string text_of(bool flag) { return flag ? "true" : "false"; }
  template <std::integral Integer>
  static std::string text_of(Integer number) {
    return fmt::format("{}", number);
  }
  static std::string text_of(const std::string& text) { return quoted(text); }
  static std::string text_of(const char* text) { return quoted(text); }
  static std::string text_of(const JsonRecord& record) { return record.text(); }
  template <class Value>
  static std::string text_of(const std::optional<Value>& value) {
    return value ? text_of(*value) : "null";
  }
  template <class Value>
  static std::string text_of(const std::vector<Value>& values) {
    std::string items;
    for (const Value& value : values) items += (items.empty() ? "" : ", ") + text_of(value);
    return "[" + items + "]";
  }
  /// A list of rows.
  template <class Value>
  static std::string text_of(const Matrix<Value>& values) {
    std::vector<std::vector<Value>> rows;
    for (std::size_t row = 0; row < values.rows(); ++row)
      rows.emplace_back(values.row(row).begin(), values.row(row).end());
    return text_of(rows);
  }

  std::string members_;
};

}  // namespace gem
