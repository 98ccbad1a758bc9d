#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "model/routing.hpp"

namespace gem {

/// Routing that tells where a token comes from: in layer 0 every token of request r uses expert r, in layer 1 the p-th
/// token of a request uses expert p.
inline Routing telling_routing(const std::vector<std::size_t>& lengths, std::size_t expert_count,
                               const std::string& phase) {
  Routing routing;
  routing.model = "example";
  routing.task = "telling";
  routing.phase = phase;
  routing.expert_count = expert_count;
  routing.top_k = 1;
  routing.layer_ids = {3, 5};
  routing.request_offsets = {0};
  for (std::size_t request = 0; request < lengths.size(); ++request) {
    for (std::size_t position = 0; position < lengths[request]; ++position) {
      routing.topk_ids.push_back(static_cast<std::uint16_t>(request));
      routing.topk_ids.push_back(static_cast<std::uint16_t>(position));
    }
    routing.request_offsets.push_back(routing.request_offsets.back() + static_cast<std::int64_t>(lengths[request]));
  }
  return routing;
}

/// Routing of the given sizes with random, different experts for each token; request lengths 1 to `longest`.
inline Routing random_routing(std::size_t requests, std::size_t longest, std::size_t layers, std::size_t experts,
                              std::size_t top_k, const std::string& phase, std::uint64_t seed) {
  RandomStream random{seed};
  Routing routing;
  routing.model = "example";
  routing.task = "random";
  routing.phase = phase;
  routing.expert_count = experts;
  routing.top_k = top_k;
  for (std::size_t layer = 0; layer < layers; ++layer) routing.layer_ids.push_back(static_cast<std::int32_t>(layer));
  routing.request_offsets = {0};
  std::vector<std::uint16_t> ids;
  for (std::size_t e = 0; e < experts; ++e) ids.push_back(static_cast<std::uint16_t>(e));
  for (std::size_t request = 0; request < requests; ++request) {
    const std::size_t length = 1 + random.below(longest);
    for (std::size_t row = 0; row < length * layers; ++row) {
      random.shuffle(std::span(ids));
      routing.topk_ids.insert(routing.topk_ids.end(), ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(top_k));
    }
    routing.request_offsets.push_back(routing.request_offsets.back() + static_cast<std::int64_t>(length));
  }
  return routing;
}

}  // namespace gem
