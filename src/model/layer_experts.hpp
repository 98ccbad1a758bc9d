#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gem {

/// Experts of each layer, [layer], where layers have different numbers of them (pruned models); empty where all have as
/// many. Arrays [layer, expert] are as wide as the layer with the most needs, and what is behind a layer's own experts
/// is no expert: it gets no token, has no device and takes no slot.
using LayerExperts = std::vector<std::int32_t>;

/// Experts of one layer, where the arrays have `width`.
inline std::size_t experts_in(const LayerExperts& of_layer, std::size_t layer, std::size_t width) {
  return of_layer.empty() ? width : static_cast<std::size_t>(of_layer[layer]);
}

/// Of the layer with the fewest.
inline std::size_t fewest_experts(const LayerExperts& of_layer, std::size_t width) {
  return of_layer.empty() ? width : static_cast<std::size_t>(*std::ranges::min_element(of_layer));
}

/// The shortest way to say it: empty where all layers have `width`.
inline LayerExperts shortest(LayerExperts of_layer, std::size_t width) {
  const bool differ = std::ranges::any_of(of_layer, [&](auto own) { return static_cast<std::size_t>(own) != width; });
  return differ ? std::move(of_layer) : LayerExperts{};
}

/// For people: "8", or "6 to 8" where layers differ.
inline std::string experts_text(const LayerExperts& of_layer, std::size_t width) {
  const std::size_t fewest = fewest_experts(of_layer, width);
  return (fewest < width ? std::to_string(fewest) + " to " : "") + std::to_string(width);
}

}  // namespace gem
