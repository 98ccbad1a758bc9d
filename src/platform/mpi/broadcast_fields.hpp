#pragma once

#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/field.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Rank 0's noun on every rank: all fields that its visitor names. Collective.
template <class Noun>
void broadcast_fields(const Communicator& ranks, Noun& noun) {
  const auto send = [&](auto& value) {
    using Value = std::remove_cvref_t<decltype(value)>;
    if constexpr (ArrayValue<Value>) {
      std::vector<std::size_t> extents = extents_of(value);
      ranks.broadcast(extents);
      if (!ranks.is_root()) shape(value, extents);
      auto& elements = elements_of(value);
      if constexpr (std::is_same_v<typename std::remove_cvref_t<decltype(elements)>::value_type, std::string>)
        for (std::string& text : elements) ranks.broadcast(text);
      else
        ranks.broadcast(elements);
    } else if constexpr (std::is_same_v<Value, std::string>) {
      ranks.broadcast(value);
    } else {
      value = ranks.broadcast(value);
    }
  };
  visit_fields(noun, [&](const Field&, auto&& value) {
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>) {
      // On other ranks there may be nothing yet that it could be made from.
      auto written = ranks.is_root() ? value.get() : decltype(value.get()){};
      send(written);
      if (!ranks.is_root()) value.set(std::move(written));
    } else {
      send(value);
    }
  });
}

}  // namespace gem
