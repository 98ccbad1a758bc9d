#pragma once

#include <cstdint>
#include <string>

namespace gem {

/// What a device is, for tables and files.
struct DeviceDescription {
  std::string kind;  ///< "cuda", "host" or "simulated"
  std::string name;  ///< product name, with "emulated x1.28" or "simulated" in it where that is so
  std::string hostname;
  std::string uuid;  ///< empty where there is none
  std::int32_t rank = 0;
  double emulated_slowdown = 1.0;  ///< relative extra time taken on purpose; 1 for a device as it is
  bool operator==(const DeviceDescription&) const = default;
};

}  // namespace gem
