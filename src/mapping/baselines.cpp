#include "mapping/baselines.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <functional>
#include <span>

#include "base/error.hpp"
#include "search/node_packing.hpp"
#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// The device of slot 0, 1, ... of a layer of so many.
using DeviceOfSlot = std::function<std::size_t(std::size_t slot, std::size_t slot_count)>;

// Layers of different numbers of experts.
Mapping own_in_each_layer(const LoadTrace& trace, std::size_t device_count, const DeviceOfSlot& device) {
  check_device_count(trace.fewest_experts(), device_count);
  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    Assignment& assignment = layers.emplace_back();
    for (std::size_t expert = 0; expert < trace.experts_in(layer); ++expert)
      assignment.push_back(static_cast<std::int32_t>(device(expert, trace.experts_in(layer))));
  }
  Mapping mapping = mapping_of(layers, {}, device_count);
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

// Each slot is filled in turn: by the experts in order and, where these alone don't divide over the devices, by the
// first ones again, as engines fill further slots.
Mapping same_in_all_layers(const LoadTrace& trace, std::size_t device_count, std::size_t redundant_experts,
                           const DeviceOfSlot& device) {
  if (!trace.experts_of_layer.empty()) return own_in_each_layer(trace, device_count, device);
  const std::size_t experts = trace.expert_count();
  if (experts % device_count == 0) redundant_experts = 0;
  check_device_count(experts + redundant_experts, device_count);
  CopyCounts copies;
  if (redundant_experts > 0) copies = CopyCounts(trace.layer_count(), experts);
  Assignment assignment;
  for (std::size_t expert = 0; expert < experts; ++expert) {
    const std::size_t first = assignment.size();
    for (std::size_t slot = expert; slot < experts + redundant_experts; slot += experts)
      assignment.push_back(static_cast<std::int32_t>(device(slot, experts + redundant_experts)));
    const auto own = std::span(assignment).subspan(first);
    std::ranges::sort(own.subspan(1));
    for (std::size_t i = 0; i < own.size(); ++i)
      if (std::ranges::count(own, own[i]) > 1)
        throw UsageError(fmt::format("it would place expert {} twice on device {}", expert, own[i]));
    for (std::size_t layer = 0; layer < copies.rows(); ++layer)
      copies(layer, expert) = static_cast<std::int32_t>(own.size());
  }
  Mapping mapping = mapping_of(std::vector<Assignment>(trace.layer_count(), assignment), copies, device_count);
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

// [copy] the order of packing: the heaviest first, of equal ones the experts' first copies in their order.
std::vector<std::size_t> heaviest_first(std::span<const double> loads, std::span<const std::int32_t> expert_of_copy) {
  std::vector<std::size_t> order, further;
  for (std::size_t copy = 0; copy < loads.size(); ++copy)
    (copy > 0 && expert_of_copy[copy] == expert_of_copy[copy - 1] ? further : order).push_back(copy);
  order.insert(order.end(), further.begin(), further.end());
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return loads[a] > loads[b]; });
  return order;
}

// Where some copy finds no device without another of its expert, any with a free slot, to be separated afterwards.
Assignment pack_apart(std::span<const double> loads, std::span<const std::int32_t> expert_of_copy,
                      std::size_t device_count) {
  std::vector<double> packed(device_count, 0.0);
  std::vector<std::vector<std::int32_t>> held(device_count);
  Assignment assignment(loads.size());
  for (const std::size_t copy : heaviest_first(loads, expert_of_copy)) {
    std::size_t best = device_count;
    bool best_is_apart = false;
    for (std::size_t d = 0; d < device_count; ++d) {
      if (held[d].size() == slots_on(d, loads.size(), device_count)) continue;
      const bool is_apart = std::ranges::count(held[d], expert_of_copy[copy]) == 0;
      if (best < device_count && (best_is_apart > is_apart || (best_is_apart == is_apart && packed[d] >= packed[best])))
        continue;
      best = d;
      best_is_apart = is_apart;
    }
    packed[best] += loads[copy];
    held[best].push_back(expert_of_copy[copy]);
    assignment[copy] = static_cast<std::int32_t>(best);
  }
  return assignment;
}

}  // namespace

Mapping linear_mapping(const LoadTrace& trace, std::size_t device_count, std::size_t redundant_experts) {
  return same_in_all_layers(trace, device_count, redundant_experts, [&](std::size_t slot, std::size_t slot_count) {
    return device_of_slot(slot, slot_count, device_count);
  });
}

Mapping round_robin_mapping(const LoadTrace& trace, std::size_t device_count, std::size_t redundant_experts) {
  return same_in_all_layers(trace, device_count, redundant_experts,
                            [&](std::size_t slot, std::size_t) { return slot % device_count; });
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

Mapping copies_packed_apart(const LoadTrace& trace, const CopyCounts& copies, std::size_t device_count) {
  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const std::vector<std::int32_t> expert_of_copy = experts_of_copies(copies.row(layer));
    std::vector<double> loads;
    const std::vector<double> of_experts = mean_loads(trace, layer);
    for (const std::int32_t expert : expert_of_copy) {
      const auto index = static_cast<std::size_t>(expert);
      loads.push_back(of_experts[index] / copies(layer, index));
    }
    Assignment& assignment = layers.emplace_back(pack_apart(loads, expert_of_copy, device_count));
    separate_copies(assignment, expert_of_copy, loads, device_count);
    order_copies(assignment, expert_of_copy);
  }
  Mapping mapping = mapping_of(layers, copies, device_count);
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

Mapping node_packed_mapping(const Topology& topology, const LoadTrace& trace, std::size_t groups,
                            std::size_t redundant_experts) {
  if (topology.node_count() < 2 || !topology.is_in_order())
    throw UsageError("packing by nodes needs two or more equally large nodes of neighbouring devices");
  if (!trace.experts_of_layer.empty()) throw UsageError("packing by nodes needs as many experts in each layer");
  const std::size_t experts = trace.expert_count(), devices = topology.node_of.size();
  const NodeShape shape{topology.node_count(), devices, groups > 1 ? groups : experts, redundant_experts};
  std::vector<Assignment> layers;
  CopyCounts copies(trace.layer_count(), experts, 1);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    PackedCopies packed = pack_by_nodes(mean_loads(trace, layer), shape);
    std::ranges::copy(packed.counts, copies.row(layer).begin());
    layers.push_back(std::move(packed.assignment));
  }
  Mapping mapping = mapping_of(layers, redundant_experts > 0 ? copies : CopyCounts{}, devices);
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

}  // namespace gem
