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

/// One layer's assignment by a baseline: `Linear` expert e on device e / (E / D), `RoundRobin` on e mod D, `Eplb` packs
/// mean loads, `SpeedAware` packs them in proportion to speed.
Assignment baseline_assignment(Method method, const CostModel& model, const LoadTrace& trace, std::size_t layer);

/// The same for all layers, [layer, expert].
Matrix<std::int32_t> baseline_mapping(Method method, const CostModel& model, const LoadTrace& trace);

}  // namespace gem
