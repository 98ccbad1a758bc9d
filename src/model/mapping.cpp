#include "model/mapping.hpp"

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {

std::vector<std::vector<std::int32_t>> slots_of(std::span<const std::int32_t> expert_to_device,
                                                std::size_t device_count) {
  std::vector<std::vector<std::int32_t>> slots(device_count);
  for (std::size_t expert = 0; expert < expert_to_device.size(); ++expert)
    slots[static_cast<std::size_t>(expert_to_device[expert])].push_back(static_cast<std::int32_t>(expert));
  return slots;
}

Cube<std::int32_t> slots_of(const Mapping& mapping) {
  Cube<std::int32_t> slots(mapping.layer_count(), mapping.device_count, mapping.slots_per_device(), -1);
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    const auto by_device = slots_of(mapping.expert_to_device.row(layer), mapping.device_count);
    for (std::size_t device = 0; device < mapping.device_count; ++device)
      for (std::size_t slot = 0; slot < by_device[device].size(); ++slot)
        slots(layer, device, slot) = by_device[device][slot];
  }
  return slots;
}

void check_mapping(const Mapping& mapping, const std::string& origin) {
  const std::size_t per_device = mapping.slots_per_device();
  if (mapping.device_count == 0 || mapping.expert_count() % mapping.device_count != 0)
    throw DataError(format("%s: %zu experts do not divide over %zu devices", origin.c_str(), mapping.expert_count(),
                           mapping.device_count));
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    std::vector<std::size_t> held(mapping.device_count, 0);
    for (std::size_t expert = 0; expert < mapping.expert_count(); ++expert) {
      const std::int32_t device = mapping.expert_to_device(layer, expert);
      if (device < 0 || static_cast<std::size_t>(device) >= mapping.device_count)
        throw DataError(format("%s: expert %zu of layer %zu is on device %d, but devices are 0 to %zu", origin.c_str(),
                               expert, layer, device, mapping.device_count - 1));
      ++held[static_cast<std::size_t>(device)];
    }
    for (std::size_t device = 0; device < mapping.device_count; ++device)
      if (held[device] != per_device)
        throw DataError(format("%s: device %zu holds %zu experts of layer %zu, but each device must hold %zu",
                               origin.c_str(), device, held[device], layer, per_device));
  }
}

void check_divisible(std::size_t expert_count, std::size_t device_count) {
  if (device_count == 0) throw UsageError("a mapping needs at least one device");
  if (device_count > expert_count)
    throw UsageError(format("%zu devices are more than the %zu experts of a layer; use at most %zu devices",
                            device_count, expert_count, expert_count));
  if (expert_count % device_count != 0) {
    std::string divisors;
    for (std::size_t d = 1; d <= expert_count; ++d)
      if (expert_count % d == 0) divisors += (divisors.empty() ? "" : ", ") + std::to_string(d);
    throw UsageError(format("%zu experts do not divide evenly over %zu devices; possible numbers of devices: %s",
                            expert_count, device_count, divisors.c_str()));
  }
}

}  // namespace gem
