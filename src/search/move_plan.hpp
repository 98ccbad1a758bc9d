#pragma once

#include <cstdint>
#include <vector>

#include "model/mapping.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// How a layer gets from what devices hold now to what they are to hold, in the order of ExpertMove: of all that may be
/// overwritten next (experts with another copy somewhere), the first; where nothing may be, an expert waits in the
/// buffer of its new device, one at a time. Every expert must be somewhere in both, each device hold as many.
std::vector<ExpertMove> plan_moves(std::int32_t layer, const DeviceContents& present, const DeviceContents& wanted);

/// What devices hold after a move of their layer. `buffered` is the expert in the buffer, -1: none. DataError where the
/// move isn't possible: its expert isn't where it is said to be, or what it replaces isn't anywhere else.
void apply_move(const ExpertMove& move, DeviceContents& contents, std::int32_t& buffered);

}  // namespace gem
