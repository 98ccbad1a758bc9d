#pragma once

#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// A device's load packed into one integer, the *key*, additive over the experts that the device holds, so that moving
/// an expert is one subtraction and one addition a step: key = units * radix + active experts, where a unit is a tile
/// (or a token) and the radix is above the number of experts that a device holds, so that nothing carries. With radix 1
/// units are all that counts.
struct LoadKeys {
  std::uint32_t unit_tokens = 1;
  std::int32_t radix = 1;

  bool counts_experts() const { return radix > 1; }
  /// Key of one expert with so many tokens in a step.
  std::int64_t of(std::uint32_t tokens) const {
    return std::int64_t{tiles_of(tokens, unit_tokens)} * radix + (counts_experts() && tokens > 0 ? 1 : 0);
  }
  std::int32_t units(std::int32_t key) const { return key / radix; }
  std::int32_t active_experts(std::int32_t key) const { return key % radix; }
  /// Whether any load has this key: where active experts are counted there is one at least, and each has a unit.
  bool is_load(std::int32_t key) const {
    return !counts_experts() || (active_experts(key) > 0 && active_experts(key) <= units(key));
  }
};

}  // namespace gem
