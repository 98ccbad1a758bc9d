#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "model/mapping.hpp"

namespace gem {

/// A random mapping with equal counts; with groups, a device holds whole groups or a part of one.
inline Mapping random_mapping(std::size_t layers, std::size_t experts, std::size_t devices, std::uint64_t seed,
                              std::size_t groups = 1) {
  RandomStream random({seed});
  Mapping mapping;
  mapping.method = "random";
  mapping.device_count = devices;
  mapping.expert_to_device = Matrix<std::int32_t>(layers, experts);
  const std::size_t per_group = experts / groups;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    mapping.layer_ids.push_back(static_cast<std::int32_t>(layer + 1));
    std::vector<std::size_t> group_order(groups), within(per_group);
    std::iota(group_order.begin(), group_order.end(), std::size_t{0});
    random.shuffle(std::span(group_order));
    std::size_t place = 0;
    for (const std::size_t group : group_order) {
      std::iota(within.begin(), within.end(), group * per_group);
      random.shuffle(std::span(within));
      for (const std::size_t expert : within)
        mapping.expert_to_device(layer, expert) = static_cast<std::int32_t>(device_of_slot(place++, experts, devices));
    }
  }
  return mapping;
}

}  // namespace gem
