#pragma once

#include <string>

#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// A note for people where the profile was not measured as far as the loads of `mapping` on the trace go, so that their
/// latencies are extrapolated: experts of a device or tiles of a device in a step. Says how to profile them; empty
/// where all were measured. Mapping and trace have the same layers.
std::string describe_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping);

/// Share of the loads of a device in a step and layer that have more tiles than any point of the profile.
double share_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping);

}  // namespace gem
