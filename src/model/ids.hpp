#pragma once

#include <compare>
#include <cstdint>

namespace gem {

/// Number of a routed expert within its layer, from 0.
struct ExpertId {
  std::int32_t value = 0;
  auto operator<=>(const ExpertId&) const = default;
};

}  // namespace gem
