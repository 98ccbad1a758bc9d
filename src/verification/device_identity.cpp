#include "verification/device_identity.hpp"

#include <fmt/core.h>

#include "base/text.hpp"
#include "device/device_kind.hpp"

namespace gem {
namespace {

/// True for texts that say different things; empty ones say nothing.
bool contradict(const std::string& measured, const std::string& running) {
  return !measured.empty() && measured != running;
}

bool is_other_device(const DeviceDescription& measured, const DeviceDescription& running) {
  return contradict(measured.kind, running.kind) || contradict(measured.hostname, running.hostname) ||
         contradict(measured.uuid, running.uuid) || contradict(measured.name, running.name) ||
         measured.emulated_slowdown != running.emulated_slowdown;
}

std::string text_of(const DeviceDescription& device, bool with_slowdown) {
  std::string text = device.kind.empty() ? "" : device.kind + " device ";
  text += "'" + device.name + "'";
  if (!device.uuid.empty()) text += " (" + device.uuid + ")";
  if (!device.hostname.empty()) text += " on " + device.hostname;
  if (with_slowdown) text += fmt::format(", slowed down by {:.4g}", device.emulated_slowdown);
  return text;
}

std::string first_difference(const std::vector<DeviceDescription>& measured_devices,
                             const std::vector<DeviceDescription>& running) {
  for (std::size_t d = 0; d < running.size(); ++d) {
    const DeviceDescription& measured = measured_devices[d];
    if (!is_other_device(measured, running[d])) continue;
    const bool with_slowdown = measured.emulated_slowdown != running[d].emulated_slowdown;
    return fmt::format("device {} was {}, but is {}", d, text_of(measured, with_slowdown),
                       text_of(running[d], with_slowdown));
  }
  return "";
}

}  // namespace

std::string device_difference(const LatencyProfile& profile, const std::vector<DeviceDescription>& running) {
  return is_virtual_kind(profile.device_kind) ? "" : first_difference(profile.devices, running);
}

std::string device_difference(const Mapping& mapping, const std::vector<DeviceDescription>& running) {
  const bool is_comparable = !is_virtual_kind(mapping.device_kind) && mapping.devices.size() == running.size();
  return is_comparable ? first_difference(mapping.devices, running) : "";
}

std::string device_warning(const std::string& difference) {
  return "these are not the devices of the profile, or not in its order (" + difference +
         "): device d of a mapping is rank d, so start the job with the profile's devices in their order, or measure "
         "these anew with gem-profile";
}

}  // namespace gem
