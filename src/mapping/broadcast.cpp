#include "mapping/broadcast.hpp"

#include "model/latency_profile_fields.hpp"
#include "model/load_trace_fields.hpp"
#include "model/mapping_fields.hpp"
#include "platform/mpi/broadcast_fields.hpp"

namespace gem {

void broadcast(const Communicator& world, LatencyProfile& profile) {
  broadcast_fields(world, profile);
}

void broadcast(const Communicator& world, LoadTrace& trace) {
  broadcast_fields(world, trace);
}

void broadcast(const Communicator& world, Mapping& mapping) {
  broadcast_fields(world, mapping);
}

}  // namespace gem
