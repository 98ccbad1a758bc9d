#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "cost/device_latencies.hpp"
#include "model/load_trace.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// Mean tokens a step of each expert of a layer, [expert].
std::vector<double> mean_loads(const LoadTrace& trace, std::size_t layer);

/// Relative speed of each device under an even share of a layer's mean load: 1 / latency, mean 1.
std::vector<double> relative_speeds(const DeviceLatencies& latencies, const LoadTrace& trace, std::size_t layer);

/// Greedy packing, heaviest expert first, onto the device with a free slot whose load / speed is then the minimum; ties
/// go to the lower index. With equal speeds, what DeepSeek's EPLB does without replicas.
Assignment pack_greedily(std::span<const double> loads, std::span<const double> speeds);

}  // namespace gem
