#pragma once

#include <string>

#include "base/field.hpp"
#include "model/device_description.hpp"

namespace gem {

/// Kind of all devices of a profile or mapping: one attribute, and in each description.
template <class Noun>
struct DeviceKindOf {
  Noun* noun;
  std::string get() const { return noun->device_kind; }
  void set(const std::string& kind) const {
    noun->device_kind = kind;
    for (DeviceDescription& device : noun->devices) device.kind = kind;
  }
};

/// What tells devices apart; `planned` where another run must have the same.
template <class Devices, class Visit>
void visit_devices(Devices& devices, Presence presence, Visit&& visit) {
  // A new member doesn't compile until it has a name here, and then a line below; the kind is an attribute.
  static_cast<void>([](const DeviceDescription& device) {
    [[maybe_unused]] const auto& [kind, name, hostname, uuid, rank, emulated_slowdown] = device;
  });
  const Presence optional = presence == Presence::Always ? Presence::OrDefault : presence;
  visit(Field{.name = "/devices/name",
              .axes = "device",
              .presence = presence,
              .planned = true,
              .meaning = "product name, with \"emulated\" or \"simulated\" in it where that is so"},
        Column(devices, &DeviceDescription::name));
  visit(Field{.name = "/devices/hostname", .axes = "device", .presence = optional, .meaning = "host of each device"},
        Column(devices, &DeviceDescription::hostname));
  visit(Field{.name = "/devices/uuid",
              .axes = "device",
              .presence = optional,
              .planned = true,
              .meaning = "number that the device has for good; empty where there is none"},
        Column(devices, &DeviceDescription::uuid));
  visit(Field{.name = "/devices/rank",
              .axes = "device",
              .presence = optional,
              .meaning = "MPI rank that measured it; without the field, its position"},
        Column(devices, &DeviceDescription::rank));
  visit(Field{.name = "/devices/emulated_slowdown",
              .axes = "device",
              .rule = {.least = above_zero},
              .presence = optional,
              .otherwise = 1.0,
              .planned = true,
              .meaning = "relative extra time taken on purpose; 1 for a device as it is"},
        Column(devices, &DeviceDescription::emulated_slowdown));
}

}  // namespace gem
