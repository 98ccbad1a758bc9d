#include "device/device_kind.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/command/command_device.hpp"
#include "device/cuda/cuda_device.hpp"
#include "device/host/host_device.hpp"

namespace gem {
namespace {

std::vector<std::string> names() {
  std::vector<std::string> all;
  for (const DeviceKind* kind : device_kinds()) all.push_back(kind->name);
  return all;
}

}  // namespace

const std::vector<const DeviceKind*>& device_kinds() {
  static const std::vector<const DeviceKind*> kinds{&cuda_kind(), &host_kind(), &simulated_kind(), &command_kind()};
  return kinds;
}

const DeviceKind& device_kind(const std::string& name) {
  const DeviceKind* kind = find_device_kind(name);
  if (kind == nullptr) throw UsageError("--device: '" + name + "' is none of " + join(names()));
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

std::string device_kind_names() {
  const std::vector<std::string> all = names();
  return join(std::span(all).first(all.size() - 1)) + " or " + all.back();
}

}  // namespace gem
