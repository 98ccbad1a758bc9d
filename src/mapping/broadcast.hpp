#pragma once

#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// Gives every rank rank 0's profile, all of it. Collective.
void broadcast(const Communicator& world, LatencyProfile& profile);

/// Gives every rank rank 0's trace, all of it. Collective.
void broadcast(const Communicator& world, LoadTrace& trace);

/// Gives every rank rank 0's placement, all of it. Collective.
void broadcast(const Communicator& world, Mapping& mapping);

}  // namespace gem
