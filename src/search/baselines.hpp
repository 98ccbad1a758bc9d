#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/array.hpp"
#include "model/load_trace.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// How a mapping can be found.
enum class Method { Linear, RoundRobin, Eplb, SpeedAware, Paper, Gem };

/// All methods and the word for each: "linear", "round-robin", "eplb", "speed-aware", "paper", "gem".
const std::vector<Method>& all_methods();
std::string method_name(Method method);
/// UsageError listing the methods for an unknown word.
Method parse_method(std::string_view name);

/// True for the methods of baseline_assignment.
bool is_baseline(Method method);
/// True for the baselines that pack loads, and copies of experts as well.
bool packs_loads(Method method);

/// Mean tokens a step of each expert of a layer, [expert].
std::vector<double> mean_loads(const LoadTrace& trace, std::size_t layer);

/// Relative speed of each device under an even share of a layer's mean load: 1 / latency, mean 1.
std::vector<double> relative_speeds(const DeviceLatencies& latencies, const LoadTrace& trace, std::size_t layer);

/// Greedy packing, heaviest expert first, onto the device with a free slot whose load / speed is then the least; ties
/// go to the lower index. With equal speeds, what DeepSeek's EPLB does without replicas.
Assignment pack_greedily(std::span<const double> loads, std::span<const double> speeds);

/// One layer's assignment by a baseline: `Linear` expert e on device e / (E / D), `RoundRobin` on e mod D, `Eplb` packs
/// mean loads, `SpeedAware` packs them in proportion to speed.
Assignment baseline_assignment(Method method, const DeviceLatencies& latencies, const LoadTrace& trace,
                               std::size_t layer);

/// The same for all layers, [layer, expert].
Matrix<std::int32_t> baseline_mapping(Method method, const DeviceLatencies& latencies, const LoadTrace& trace);

}  // namespace gem
