#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace gem {

/// A bf16 number is the upper half of an f32's bits. Rounds to nearest, ties to even.
inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);  // stays a NaN when cut
  const std::uint32_t ties_to_even = 0x7fffu + ((bits >> 16) & 1u);
  return static_cast<std::uint16_t>((bits + ties_to_even) >> 16);
}

/// Exact.
inline float from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

}  // namespace gem
