#pragma once

#include <compare>
#include <cstdint>

namespace gem {

/// Number of a routed expert within its layer, from 0.
struct ExpertId {
  std::int32_t value = 0;
  auto operator<=>(const ExpertId&) const = default;
};

/// Number of a device (a GPU) within the cluster, from 0; the rank, where each rank has one device.
struct DeviceId {
  std::int32_t value = 0;
  auto operator<=>(const DeviceId&) const = default;
};

}  // namespace gem
