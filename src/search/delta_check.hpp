#pragma once

#include <cstdint>
#include <string_view>

#include "search/placement.hpp"

namespace gem {

/// Called whenever a move was made: throws std::logic_error unless what the move was said to change and what the
/// placement has kept up to date are what its assignment costs when all is summed anew. Does nothing in builds without
/// GEM_CHECK_DELTAS: which of delta_check.cpp and delta_unchecked.cpp is built decides.
void check_delta(const Placement& placement, std::int64_t cost_before, std::int64_t change, std::string_view move);

}  // namespace gem
