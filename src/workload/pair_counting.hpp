#pragma once

#include <cstddef>
#include <vector>

#include "model/expert_pairs.hpp"
#include "model/routing.hpp"

namespace gem {

/// Pairs of experts that the tokens of these requests use.
ExpertPairs count_pairs(const Routing& routing, const std::vector<std::size_t>& requests);

}  // namespace gem
