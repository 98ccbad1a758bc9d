#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/layer_experts.hpp"

namespace gem {

/// Token-level routing: which experts each token of each request used, layer by layer. Requests own disjoint runs of
/// tokens in generation order.
struct Routing {
  /// In the last places of a token with fewer experts than top_k; no expert where there are fewer than 65,536.
  static constexpr std::uint16_t no_expert = 65535;

  std::string model;
  std::string task;
  std::string phase;             ///< "decode" or "prefill"
  std::size_t expert_count = 0;  ///< of the layer with the most
  std::size_t top_k = 0;
  std::vector<std::int32_t> layer_ids;        ///< [layer], the model's own decoder-layer numbers
  std::vector<std::int64_t> request_offsets;  ///< [request + 1], tokens
  std::vector<std::uint16_t> topk_ids;        ///< [token, layer, k], an expert or no_expert
  LayerExperts experts_of_layer{};            ///< see LayerExperts

  std::size_t layer_count() const { return layer_ids.size(); }
  std::size_t experts_in(std::size_t layer) const { return gem::experts_in(experts_of_layer, layer, expert_count); }
  std::size_t request_count() const { return request_offsets.empty() ? 0 : request_offsets.size() - 1; }
  std::size_t token_count() const {
    return request_offsets.empty() ? 0 : static_cast<std::size_t>(request_offsets.back());
  }
  /// The experts of one token in one layer, [k]; no_expert in places that are not used.
  std::span<const std::uint16_t> experts(std::size_t token, std::size_t layer) const {
    return {topk_ids.data() + (token * layer_count() + layer) * top_k, top_k};
  }
};

}  // namespace gem
