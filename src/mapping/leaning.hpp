#pragma once

#include <cstdint>

#include "model/load_trace.hpp"

namespace gem {

/// The trace with that share of each step's tokens, 0 to 1, replaced by as many of the mean over steps: a search then
/// fits the steps less closely. Fractions are rounded up or down at random, so that means stay what they are; steps no
/// longer add up to exactly tokens_per_step.
LoadTrace leaned(const LoadTrace& trace, double share, std::uint64_t seed);

}  // namespace gem
