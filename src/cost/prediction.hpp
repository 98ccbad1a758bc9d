#pragma once

#include <cstddef>
#include <vector>

#include "base/array.hpp"
#include "cost/cost_model.hpp"
#include "cost/device_loads.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// [step, layer, device] seconds that one stage of each layer takes on each device under a placement.
Cube<double> predict(const CostModel& model, std::size_t stage, const LoadTrace& trace, const HomesAt& homes_at);

/// The same of homes that are those of every step; homes: [layer].
Cube<double> predict(const CostModel& model, std::size_t stage, const LoadTrace& trace,
                     const std::vector<ExpertHomes>& homes);

}  // namespace gem
