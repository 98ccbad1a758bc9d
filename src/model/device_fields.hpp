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

/// The program that stands for command devices.
template <class Program, class Visit>
void visit_device_program(Program& program, Visit&& visit) {
  auto& [command, kernel, tile_rule] = program;
  visit(Field{.name = "device_command",
              .presence = Presence::OrEmpty,
              .meaning = "of command devices: what started the program that stands for them"},
        command);
  visit(Field{.name = "device_kernel",
              .presence = Presence::OrEmpty,
              .meaning = "of command devices: what computes, with its versions, as the program says"},
        kernel);
  visit(Field{.name = "device_tile_rule",
              .presence = Presence::OrEmpty,
              .meaning = "of command devices: tiles that the program says it works in, as \"32:16,96:32,64\": 16 rows "
                         "for up to 32 rows of a device, 32 for up to 96, 64 beyond"},
        tile_rule);
}

}  // namespace gem
