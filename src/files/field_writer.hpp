#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "base/field.hpp"
#include "platform/hdf5/output.hpp"

namespace gem {

/// Writes the fields of a noun as its visitor names them: `visit_fields(noun, FieldWriter(file))`.
class FieldWriter {
 public:
  explicit FieldWriter(Hdf5Output& file) : file_(file) {}

  template <class Value>
  void operator()(const Field& field, const Value& value) const {
    if constexpr (Encoded<Value>) {
      if constexpr (requires { value.has(); })
        if (!value.has()) return;
      (*this)(field, value.get());
    } else if constexpr (ArrayValue<Value>) {
      const auto& elements = elements_of(value);
      if (elements.empty() && field.presence != Presence::Always) return;
      write(field, elements, extents_of(value));
    } else if constexpr (std::is_floating_point_v<Value>) {
      if (field.presence == Presence::OrEmpty && std::isnan(value)) return;
      write(field, std::vector<Value>{value}, {1});
    } else {
      const bool has_none = field.presence == Presence::OrEmpty && value == Value{};
      if (has_none || field.of_header) return;
      if constexpr (std::is_integral_v<Value>)
        file_.attribute(std::string(field.name), std::uint64_t{value});
      else
        file_.attribute(std::string(field.name), value);
    }
  }

 private:
  template <class T>
  void write(const Field& field, const std::vector<T>& elements, const Extents& extents) const {
    const FieldLabel label{std::string(field.name), std::string(field.unit), std::string(field.axes)};
    if constexpr (std::is_same_v<T, std::string>) {
      file_.write(label, elements);
    } else {
      if constexpr (std::is_same_v<T, std::uint16_t>)
        if (field.narrow && std::ranges::all_of(elements, [](T value) { return value <= 0xff; })) {
          file_.write(label, std::vector<std::uint8_t>(elements.begin(), elements.end()), extents);
          return;
        }
      file_.write(label, elements, extents);
    }
  }

  Hdf5Output& file_;
};

}  // namespace gem
