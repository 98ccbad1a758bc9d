#include "interchange/physical_map.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <numeric>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

PhysicalMap physical_map_of(const Mapping& mapping) {
  std::vector<std::size_t> order(mapping.layer_count());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t layer) { return mapping.layer_ids[layer]; });

  PhysicalMap map;
  map.device_count = mapping.device_count;
  map.expert_count = mapping.expert_count();
  map.physical_to_logical =
      Matrix<std::int32_t>(mapping.layer_count(), mapping.expert_count() + mapping.redundant_count());
  for (std::size_t row = 0; row < order.size(); ++row) {
    map.layer_ids.push_back(mapping.layer_ids[order[row]]);
    auto slot = map.physical_to_logical.row(row).begin();
    for (const auto& experts : slots_of(mapping, order[row])) slot = std::ranges::copy(experts, slot).out;
  }
  return map;
}

namespace {

/// The map's rows for `layers`, which include its own; others hold their experts in order, over and over.
PhysicalMap with_layers(const PhysicalMap& map, const std::vector<std::int32_t>& layers) {
  PhysicalMap whole = map;
  whole.layer_ids = layers;
  whole.physical_to_logical = Matrix<std::int32_t>(layers.size(), map.slot_count());
  for (std::size_t row = 0; row < layers.size(); ++row) {
    const auto own = std::ranges::find(map.layer_ids, layers[row]);
    const auto slots = whole.physical_to_logical.row(row);
    if (own != map.layer_ids.end())
      std::ranges::copy(map.physical_to_logical.row(static_cast<std::size_t>(own - map.layer_ids.begin())),
                        slots.begin());
    else
      for (std::size_t slot = 0; slot < slots.size(); ++slot)
        slots[slot] = static_cast<std::int32_t>(slot % map.expert_count);
  }
  return whole;
}

}  // namespace

PhysicalMap with_all_layers(const PhysicalMap& map, std::size_t decoder_layers) {
  if (!map.layer_ids.empty() && static_cast<std::size_t>(map.layer_ids.back()) >= decoder_layers)
    throw UsageError(
        fmt::format("the mapping has layer {}, but the model has decoder layers 0 to {}; give the model that "
                    "the mapping was made for",
                    map.layer_ids.back(), decoder_layers - 1));
  std::vector<std::int32_t> all(decoder_layers);
  std::iota(all.begin(), all.end(), 0);
  return with_layers(map, all);
}

PhysicalMap with_further_layers(const PhysicalMap& map, std::size_t first, std::size_t count) {
  std::vector<std::int32_t> all = map.layer_ids;
  for (std::size_t layer = first; layer < first + count; ++layer) all.push_back(static_cast<std::int32_t>(layer));
  std::ranges::sort(all);
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return with_layers(map, all);
}

Mapping mapping_of(const PhysicalMap& map) {
  Mapping mapping;
  mapping.device_count = map.device_count;
  mapping.layer_ids = map.layer_ids;
  mapping.expert_to_device = Matrix<std::int32_t>(map.layer_count(), map.expert_count, -1);
  if (map.redundant_count() > 0) mapping.redundant = Matrix<RedundantCopy>(map.layer_count(), map.redundant_count());
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer) {
    std::vector<RedundantCopy> copies;
    for (std::size_t slot = 0; slot < map.slot_count(); ++slot) {
      const std::int32_t expert = map.physical_to_logical(layer, slot);
      const auto device = static_cast<std::int32_t>(map.device_of(slot));
      std::int32_t& home = mapping.expert_to_device(layer, static_cast<std::size_t>(expert));
      if (home == -1)
        home = device;
      else
        copies.push_back({expert, device});
    }
    std::ranges::sort(copies, {}, [](const RedundantCopy& copy) { return std::pair(copy.expert, copy.device); });
    if (!copies.empty()) std::ranges::copy(copies, mapping.redundant.row(layer).begin());
  }
  return mapping;
}

void check_physical_map(const PhysicalMap& map, const std::string& origin) {
  if (map.device_count == 0 || map.slot_count() == 0 || map.slot_count() % map.device_count != 0)
    throw DataError(
        fmt::format("{}: {} slots do not divide over {} devices", origin, map.slot_count(), map.device_count));
  for (std::size_t layer = 0; layer < map.layer_count(); ++layer) {
    std::vector<std::size_t> copies(map.expert_count, 0);
    for (std::size_t device = 0; device < map.device_count; ++device) {
      const auto held = map.device_experts(layer, device);
      std::vector<std::int32_t> sorted(held.begin(), held.end());
      std::ranges::sort(sorted);
      const auto twice = std::ranges::adjacent_find(sorted);
      if (twice != sorted.end())
        throw DataError(fmt::format("{}: device {} holds expert {} twice in layer {}", origin, device, *twice,
                                    map.layer_ids[layer]));
      for (const std::int32_t expert : sorted) {
        if (expert < 0 || static_cast<std::size_t>(expert) >= map.expert_count)
          throw DataError(fmt::format("{}: a slot of layer {} holds expert {}, but experts are 0 to {}", origin,
                                      map.layer_ids[layer], expert, map.expert_count - 1));
        ++copies[static_cast<std::size_t>(expert)];
      }
    }
    const auto missing = std::ranges::find(copies, std::size_t{0});
    if (missing != copies.end())
      throw DataError(fmt::format("{}: no device holds expert {} of layer {}", origin,
                                  static_cast<std::size_t>(missing - copies.begin()), map.layer_ids[layer]));
  }
}

}  // namespace gem
