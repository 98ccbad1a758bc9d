#include "model/mapping.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

std::vector<std::vector<std::int32_t>> slots_of(const Mapping& mapping, std::size_t layer) {
  std::vector<std::vector<std::int32_t>> slots(mapping.device_count);
  for (std::size_t expert = 0; expert < mapping.experts_in(layer); ++expert)
    slots[static_cast<std::size_t>(mapping.expert_to_device(layer, expert))].push_back(
        static_cast<std::int32_t>(expert));
  for (std::size_t copy = 0; copy < mapping.redundant_count(); ++copy) {
    const RedundantCopy& further = mapping.redundant(layer, copy);
    slots[static_cast<std::size_t>(further.device)].push_back(further.expert);
  }
  for (auto& experts : slots) std::ranges::sort(experts);
  return slots;
}

Cube<std::int32_t> slots_of(const Mapping& mapping) {
  Cube<std::int32_t> slots(mapping.layer_count(), mapping.device_count, mapping.slots_per_device(), -1);
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    const auto by_device = slots_of(mapping, layer);
    for (std::size_t device = 0; device < mapping.device_count; ++device)
      std::ranges::copy(by_device[device], slots.row(layer, device).begin());
  }
  return slots;
}

void take_slots(Mapping& mapping, const Cube<std::int32_t>& slots) {
  mapping.device_count = slots.rows();
  for (std::size_t layer = 0; layer < slots.planes(); ++layer) {
    std::vector<std::uint8_t> at_home(mapping.experts_in(layer), 0);
    std::vector<RedundantCopy> copies;
    for (std::size_t device = 0; device < slots.rows(); ++device) {
      for (const std::int32_t expert : slots.row(layer, device)) {
        if (expert == -1) continue;
        const auto index = static_cast<std::size_t>(expert);
        const auto here = static_cast<std::int32_t>(device);
        if (index >= at_home.size())
          throw DataError(
              fmt::format("holds expert {} in layer {}, which has {} experts (/experts_of_layer); make the "
                          "file again",
                          expert, layer, at_home.size()));
        if (mapping.expert_to_device(layer, index) == here && at_home[index] == 0)
          at_home[index] = 1;
        else
          copies.push_back({expert, here});
      }
    }
    for (std::size_t expert = 0; expert < at_home.size(); ++expert)
      if (at_home[expert] == 0)
        throw DataError(fmt::format(
            "has no slot for expert {} of layer {} on device {}, where /expert_to_device puts it; make the file again",
            expert, layer, mapping.expert_to_device(layer, expert)));
    if (layer == 0) mapping.redundant = Matrix<RedundantCopy>(slots.planes(), copies.size());
    if (copies.size() != mapping.redundant.columns())
      throw DataError(fmt::format("holds {} redundant copies in layer {}, but {} in layer 0; make the file again",
                                  copies.size(), layer, mapping.redundant.columns()));
    std::ranges::sort(copies, {}, [](const RedundantCopy& copy) { return std::pair(copy.expert, copy.device); });
    std::ranges::copy(copies, mapping.redundant.row(layer).begin());
  }
}

void check_mapping(const Mapping& mapping, const std::string& origin) {
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer)
    if (mapping.device_count == 0 || mapping.device_count > mapping.slots_in(layer) ||
        (mapping.redundant_count() > 0 && mapping.slots_in(layer) % mapping.device_count != 0))
      throw DataError(fmt::format("{}: {} experts and {} redundant copies do not divide over {} devices", origin,
                                  mapping.experts_in(layer), mapping.redundant_count(), mapping.device_count));
  const auto check_device = [&](std::int32_t expert, std::size_t layer, std::int32_t device) {
    if (device < 0 || static_cast<std::size_t>(device) >= mapping.device_count)
      throw DataError(fmt::format("{}: expert {} of layer {} is on device {}, but devices are 0 to {}", origin, expert,
                                  layer, device, mapping.device_count - 1));
  };
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    for (std::size_t expert = 0; expert < mapping.experts_in(layer); ++expert)
      check_device(static_cast<std::int32_t>(expert), layer, mapping.expert_to_device(layer, expert));
    for (std::size_t none = mapping.experts_in(layer); none < mapping.expert_count(); ++none)
      if (mapping.expert_to_device(layer, none) != -1)
        throw DataError(
            fmt::format("{}: expert {} of layer {} is on device {}, but the layer has {} experts "
                        "(/experts_of_layer)",
                        origin, none, layer, mapping.expert_to_device(layer, none), mapping.experts_in(layer)));
    for (std::size_t copy = 0; copy < mapping.redundant_count(); ++copy)
      check_device(mapping.redundant(layer, copy).expert, layer, mapping.redundant(layer, copy).device);
    const auto slots = slots_of(mapping, layer);
    for (std::size_t device = 0; device < slots.size(); ++device) {
      const std::size_t wanted = slots_on(device, mapping.slots_in(layer), mapping.device_count);
      if (slots[device].size() != wanted)
        throw DataError(fmt::format("{}: device {} holds {} experts of layer {}, but must hold {} of {}", origin,
                                    device, slots[device].size(), layer, wanted, mapping.slots_in(layer)));
      const auto twice = std::ranges::adjacent_find(slots[device]);
      if (twice != slots[device].end())
        throw DataError(fmt::format("{}: device {} holds expert {} of layer {} twice", origin, device, *twice, layer));
    }
  }
}

std::string copies_that_divide(std::size_t expert_count, std::size_t device_count) {
  const std::size_t over = expert_count % device_count;
  if (over == 0) return fmt::format("a multiple of {}", device_count);
  return fmt::format("{} and any multiple of {} more", device_count - over, device_count);
}

void check_device_count(std::size_t expert_count, std::size_t device_count) {
  if (device_count == 0) throw UsageError("a mapping needs at least one device");
  if (device_count > expert_count)
    throw UsageError(fmt::format("{} devices are more than the {} experts of a layer; use at most {} devices",
                                 device_count, expert_count, expert_count));
}

}  // namespace gem
