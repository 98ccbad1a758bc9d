#include "device/device_kind.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/command/command_device.hpp"
#include "device/cuda/cuda_device.hpp"
#include "device/host/host_device.hpp"

namespace gem {

const std::vector<const DeviceKind*>& device_kinds() {
  static const std::vector<const DeviceKind*> kinds{&cuda_kind(), &host_kind(), &simulated_kind(), &command_kind()};
  return kinds;
}

const DeviceKind& device_kind(const std::string& name) {
  const DeviceKind* kind = find_device_kind(name);
  if (kind == nullptr)
    throw option_error(option_name(&DeviceOptions::kind), "{}: '{}' is none of {}", name, join(device_kind_words()));
  return *kind;
}

const DeviceKind* find_device_kind(const std::string& name) {
  const auto found = std::ranges::find(device_kinds(), name, &DeviceKind::name);
  return found == device_kinds().end() ? nullptr : *found;
}

bool is_virtual_kind(const std::string& name) {
  const DeviceKind* kind = find_device_kind(name);
  return kind != nullptr && kind->is_virtual();
}

std::vector<std::string> device_kind_words() {
  std::vector<std::string> words;
  for (const DeviceKind* kind : device_kinds()) words.push_back(kind->name);
  return words;
}

}  // namespace gem
