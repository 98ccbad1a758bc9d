#pragma once

#include <cstddef>

#include "profile/sweep.hpp"
#include "profile/tile_staircase.hpp"

namespace gem {

/// Measures the loads on all devices, and finds the tiles in the mean of their latencies. The same on every rank.
/// DataError where they show no staircase. Collective.
TileProbe probe_tiles(const Communicator& ranks, DeviceList devices, std::size_t experts, std::size_t most_rows,
                      const SweepOptions& options);

}  // namespace gem
