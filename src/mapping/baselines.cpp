#include "mapping/baselines.hpp"

#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// `device(expert)` holds an expert in every layer.
template <class Device>
Mapping same_in_all_layers(const LoadTrace& trace, std::size_t device_count, Device device) {
  check_device_count(trace.expert_count(), device_count);
  Assignment assignment;
  for (std::size_t expert = 0; expert < trace.expert_count(); ++expert)
    assignment.push_back(static_cast<std::int32_t>(device(expert)));
  Mapping mapping = mapping_of(std::vector<Assignment>(trace.layer_count(), assignment), {}, device_count);
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

}  // namespace

Mapping linear_mapping(const LoadTrace& trace, std::size_t device_count) {
  return same_in_all_layers(trace, device_count, [&](std::size_t expert) {
    return device_of_slot(expert, trace.expert_count(), device_count);
  });
}

Mapping round_robin_mapping(const LoadTrace& trace, std::size_t device_count) {
  return same_in_all_layers(trace, device_count, [&](std::size_t expert) { return expert % device_count; });
}

Mapping packed_mapping(PackedBy packed_by, const CostModel& model, const LoadTrace& trace, const CopyCounts& copies) {
  const bool has_copies = copies.rows() > 0;
  LoadTrace split_trace;
  if (has_copies) split_trace = split_over_copies(trace, copies);
  const LoadTrace& packed = has_copies ? split_trace : trace;
  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const std::vector<double> loads = mean_loads(packed, layer);
    Assignment& assignment = layers.emplace_back(
        pack_greedily(loads, packed_by == PackedBy::Speed ? relative_speeds(model.latencies(), packed, layer)
                                                          : std::vector<double>(model.device_count(), 1.0)));
    if (!has_copies) continue;
    const std::vector<std::int32_t> expert_of_copy = experts_of_copies(copies.row(layer));
    separate_copies(assignment, expert_of_copy, loads, model.device_count());
    order_copies(assignment, expert_of_copy);
  }
  Mapping mapping = mapping_of(layers, copies, model.device_count());
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

}  // namespace gem
