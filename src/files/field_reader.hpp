#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/field.hpp"
#include "platform/hdf5/input.hpp"

namespace gem {

/// Reads and checks the fields of a noun as its visitor names them. All extents are looked at before any data, so that
/// a field that doesn't fit those named before it is the one that is blamed. DataError naming file and field.
class FieldReader {
 public:
  explicit FieldReader(const Hdf5Input& file) : file_(file) { axes_.set("one", 1); }

  template <class Noun>
  void read(Noun& noun) {
    visit_fields(noun, [&](const Field& field, const auto&) { find_axes(field); });
    visit_fields(noun, [&](const Field& field, auto&& value) { take(field, value); });
  }

  /// What the file has; 0 for an axis that it hasn't.
  const AxisLengths& axes() const { return axes_; }

 private:
  void find_axes(const Field& field);
  bool is_there(const Field& field) const;
  void check_units(const Field& field) const;
  std::uint64_t read_count(const Field& field) const;
  std::string read_text(const Field& field) const;
  [[noreturn]] void reject_value(const Field& field, double value, std::size_t index, const Extents& extents) const;
  void check_distinct(const Field& field, std::vector<std::int64_t> values) const;

  /// Reads into the noun, or leaves or fills what the file hasn't.
  template <class Value>
  void take(const Field& field, Value& value) const {
    if constexpr (Encoded<std::remove_const_t<Value>>) {
      decltype(value.get()) written{};
      if (is_there(field))
        read_value(field, written);
      else if (!fill(field, written))
        return;
      try {
        value.set(std::move(written));
      } catch (const DataError& error) {
        file_.reject(std::string(field.name) + " " + error.what());
      }
    } else if (is_there(field)) {
      read_value(field, value);
    } else {
      fill(field, value);
    }
  }

  template <class Value>
  void read_value(const Field& field, Value& value) const {
    if constexpr (ArrayValue<Value>) {
      shape(value, axes_.extents(field));
      elements_of(value) = read_elements<typename std::remove_cvref_t<decltype(elements_of(value))>::value_type>(
          field, axes_.extents(field));
    } else if constexpr (std::is_floating_point_v<Value>) {
      value = read_elements<Value>(field, {1}).front();
    } else if constexpr (std::is_integral_v<Value>) {
      value = static_cast<Value>(read_count(field));
    } else {
      value = read_text(field);
    }
  }

  template <class T>
  std::vector<T> read_elements(const Field& field, const Extents& extents) const {
    const std::string name(field.name);
    if constexpr (std::is_same_v<T, std::string>) {
      return file_.read_texts(name, extents.front());
    } else {
      check_units(field);
      std::vector<T> values = file_.read<T>(name, extents);
      for (std::size_t i = 0; i < values.size(); ++i)
        if (!is_allowed(field.rule, static_cast<double>(values[i]), axes_))
          reject_value(field, static_cast<double>(values[i]), i, extents);
      if constexpr (std::is_integral_v<T>)
        if (field.rule.distinct) check_distinct(field, {values.begin(), values.end()});
      return values;
    }
  }

  /// False if the noun keeps what it has.
  template <class Value>
  bool fill(const Field& field, Value& value) const {
    if constexpr (ArrayValue<Value>) {
      using T = typename std::remove_cvref_t<decltype(elements_of(value))>::value_type;
      if (field.presence != Presence::OrDefault) return false;
      if constexpr (std::is_same_v<T, std::string>)
        shape(value, axes_.extents(field));
      else if constexpr (std::is_floating_point_v<T>)
        shape(value, axes_.extents(field), static_cast<T>(field.otherwise));
      else
        shape(value, axes_.extents(field), std::isnan(field.otherwise) ? T{} : static_cast<T>(field.otherwise));
      return true;
    } else {
      return false;
    }
  }

  const Hdf5Input& file_;
  AxisLengths axes_;
};

}  // namespace gem
