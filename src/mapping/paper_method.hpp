#pragma once

#include <functional>

#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// The search of arXiv 2605.19945, to compare with: on the last 16 steps of the trace, with latency as a curve over a
/// device's tokens, swaps from the linear mapping on until none helps. UsageError if `out_of_time` says so
/// before.
Mapping paper_mapping(const LatencyProfile& profile, const LoadTrace& trace,
                      const std::function<bool()>& out_of_time = {});

}  // namespace gem
