#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gem {

/// Kind of devices that are stated models: their speeds, hosts and numbers say nothing of any machine.
inline constexpr std::string_view simulated_kind_name = "simulated";

/// What a device is, for tables and files.
struct DeviceDescription {
  std::string kind;  ///< a name of device_kinds(); empty if unknown
  std::string name;  ///< product name, with "emulated x1.28" or "simulated" in it where that is so
  std::string hostname;
  std::string uuid;  ///< empty where there is none
  std::int32_t rank = 0;
  double emulated_slowdown = 1.0;  ///< relative extra time taken on purpose; 1 for a device as it is
  bool is_simulated() const { return kind == simulated_kind_name; }
  bool operator==(const DeviceDescription&) const = default;
};

/// The program that stands for the devices, for the record; empty where GEM's own kernels compute.
struct DeviceProgram {
  std::string command;    ///< that started it
  std::string kernel;     ///< what computes, with its versions
  std::string tile_rule;  ///< tiles that it says, as "32:16,64"; empty where it doesn't know them
  bool empty() const { return command.empty() && kernel.empty() && tile_rule.empty(); }
  bool operator==(const DeviceProgram&) const = default;
};

}  // namespace gem
