#pragma once

#include <algorithm>
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
  // Of a kernel that chooses its tile by the rows of its device: the rows of loads that have this tile.
  std::int64_t rows_from = 0;
  std::int64_t rows_to = INT64_MAX;

  bool counts_experts() const { return radix > 1; }
  /// Key of one expert with so many tokens in a step.
  std::int64_t of(std::uint32_t tokens) const {
    return std::int64_t{tiles_of(tokens, unit_tokens)} * radix + (counts_experts() && tokens > 0 ? 1 : 0);
  }
  std::int32_t units(std::int32_t key) const { return key / radix; }
  std::int32_t active_experts(std::int32_t key) const { return key % radix; }
  /// Whether any load has this key: where active experts are counted there is one at least, and each has a unit.
  bool is_load(std::int32_t key) const {
    if (!counts_experts()) return true;
    const std::int64_t tiles = units(key), active = active_experts(key);
    return active > 0 && active <= tiles && (tiles - active) * unit_tokens + active <= rows_to &&
           tiles * unit_tokens >= rows_from;
  }
  /// Units of `other_tokens` rows that a load with this key, which is_load, has at most.
  std::int64_t max_units(std::int32_t key, std::uint32_t other_tokens) const {
    const std::int64_t own = units(key), active = active_experts(key);
    if (other_tokens == unit_tokens) return own;
    // The units of each expert are whole but for the last, in which there is a row at least.
    const std::int64_t rows = std::min(own * unit_tokens, rows_to);
    const std::int64_t others = (rows - active) / other_tokens + active;
    return unit_tokens % other_tokens == 0 ? std::min(others, own * (unit_tokens / other_tokens)) : others;
  }
};

}  // namespace gem
