#pragma once

#include <cstddef>

#include "cost/cost_model.hpp"
#include "model/expert_copies.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// The first experts on the first device and so on (expert_slots.hpp), in every layer of the trace: what engines do by
/// default. UsageError for more devices than experts.
Mapping linear_mapping(const LoadTrace& trace, std::size_t device_count);

/// Expert e on device e mod D.
Mapping round_robin_mapping(const LoadTrace& trace, std::size_t device_count);

/// What packing takes devices for.
enum class PackedBy {
  Load,  ///< equal ones
  Speed  ///< as fast as the model says
};

/// Mean loads of experts, or of their copies, none twice on a device, packed greedily.
Mapping packed_mapping(PackedBy packed_by, const CostModel& model, const LoadTrace& trace, const CopyCounts& copies);

}  // namespace gem
