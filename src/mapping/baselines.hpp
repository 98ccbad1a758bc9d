#pragma once

#include <cstddef>

#include "cost/cost_model.hpp"
#include "model/expert_copies.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "model/topology.hpp"

namespace gem {

/// The first experts on the first device and so on (expert_slots.hpp), in every layer of the trace: what engines do by
/// default. Where experts don't divide over the devices and there are to be copies, the first experts have a copy each,
/// `redundant_experts` in all, in the slots that follow. UsageError for more devices than experts.
Mapping linear_mapping(const LoadTrace& trace, std::size_t device_count, std::size_t redundant_experts = 0);

/// Expert e on device e mod D, copies likewise. UsageError where two of one expert would meet, too.
Mapping round_robin_mapping(const LoadTrace& trace, std::size_t device_count, std::size_t redundant_experts = 0);

/// What packing takes devices for.
enum class PackedBy {
  Load,  ///< equal ones
  Speed  ///< as fast as the model says
};

/// Mean loads of experts, or of their copies, none twice on a device, packed greedily.
Mapping packed_mapping(PackedBy packed_by, const CostModel& model, const LoadTrace& trace, const CopyCounts& copies);

/// Mean loads of copies of experts packed greedily as DeepSeek's EPLB does, heaviest first onto the least loaded device
/// with a free slot, but for those that it would put on a device with another of their expert: these go to the least
/// loaded one without. Ties go to the lower device, and among copies to experts' first ones.
Mapping copies_packed_apart(const LoadTrace& trace, const CopyCounts& copies, std::size_t device_count);

/// DeepSeek's hierarchical EPLB, see pack_by_nodes, with as many groups of experts as are said; 1: each expert may go
/// to any node. UsageError unless the topology has equally large nodes of neighbouring devices.
Mapping node_packed_mapping(const Topology& topology, const LoadTrace& trace, std::size_t groups,
                            std::size_t redundant_experts);

}  // namespace gem
