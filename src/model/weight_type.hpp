#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/option.hpp"

namespace gem {

/// Number format of the experts' weights, in which they are multiplied.
enum class WeightType { Bf16, F32, Fp8 };

inline std::vector<OptionWord<WeightType>> words_of(WeightType) {
  return {{"bf16", WeightType::Bf16}, {"f32", WeightType::F32}, {"fp8", WeightType::Fp8}};
}

/// Bytes of one weight.
constexpr std::size_t bytes_of(WeightType type) {
  return type == WeightType::F32 ? 4 : type == WeightType::Bf16 ? 2 : 1;
}

/// What a word stands for; none for "mxfp4" and others.
inline std::optional<WeightType> known_weight_type(const std::string& word) {
  for (const OptionWord<WeightType>& known : words_of(WeightType{}))
    if (known.word == word) return known.value;
  return std::nullopt;
}

/// What a file calls it, where no word means bf16; DataError for a word that stands for none.
inline WeightType weight_type_of(const std::string& word) {
  if (word.empty()) return WeightType::Bf16;
  if (const std::optional<WeightType> known = known_weight_type(word)) return *known;
  throw DataError("weight_dtype '" + word + "' is none of bf16, f32, fp8");
}

}  // namespace gem
