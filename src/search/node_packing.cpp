#include "search/node_packing.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "model/expert_copies.hpp"
#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

void check(const NodeShape& shape, std::size_t experts) {
  const auto divides = [](std::size_t part, std::size_t whole) { return part > 0 && whole % part == 0; };
  if (!divides(shape.groups, experts) || !divides(shape.nodes, shape.groups))
    throw UsageError(
        fmt::format("{} groups of {} experts do not divide over {} nodes; give a number of groups that divides the "
                    "experts and is a multiple of the nodes, or leave it out",
                    shape.groups, experts, shape.nodes));
  if (!divides(shape.nodes, shape.devices) || !divides(shape.nodes, shape.redundant_experts) ||
      !divides(shape.devices, experts + shape.redundant_experts))
    throw UsageError(fmt::format(
        "{} experts and {} copies do not divide over {} nodes of {} devices; give as many copies for each node",
        experts, shape.redundant_experts, shape.nodes, shape.devices / std::max<std::size_t>(1, shape.nodes)));
  const std::size_t most_copies = experts * (shape.devices / shape.nodes - 1);
  if (shape.redundant_experts > most_copies)
    throw UsageError(
        fmt::format("{} copies are more than one of each expert on each further device of its node; give at most {}",
                    shape.redundant_experts, most_copies));
}

// Of each item, [item] where it goes: packed onto equal places, as many on each. One a place stay in their order.
Assignment pack_evenly(std::span<const double> loads, std::size_t places) {
  if (loads.size() > places) return pack_greedily(loads, std::vector<double>(places, 1.0));
  Assignment in_order(loads.size());
  std::iota(in_order.begin(), in_order.end(), 0);
  return in_order;
}

}  // namespace

PackedCopies pack_by_nodes(std::span<const double> loads, const NodeShape& shape) {
  check(shape, loads.size());
  const std::size_t group_experts = loads.size() / shape.groups, node_devices = shape.devices / shape.nodes;
  std::vector<double> group_loads(shape.groups, 0.0);
  for (std::size_t expert = 0; expert < loads.size(); ++expert) group_loads[expert / group_experts] += loads[expert];
  const Assignment node_of_group = pack_evenly(group_loads, shape.nodes);

  PackedCopies packed{std::vector<std::int32_t>(loads.size(), 1), {}};
  std::vector<std::vector<std::int32_t>> devices(loads.size());
  for (std::size_t node = 0; node < shape.nodes; ++node) {
    std::vector<std::size_t> experts;
    std::vector<double> node_loads;
    for (std::size_t expert = 0; expert < loads.size(); ++expert) {
      if (node_of_group[expert / group_experts] != static_cast<std::int32_t>(node)) continue;
      experts.push_back(expert);
      node_loads.push_back(loads[expert]);
    }
    std::vector<std::int32_t> counts(experts.size(), 1);
    copy_heaviest(counts, node_loads, shape.redundant_experts / shape.nodes, node_devices);
    const std::vector<std::int32_t> expert_of_copy = experts_of_copies(counts);
    std::vector<double> copy_loads;
    for (const std::int32_t expert : expert_of_copy) {
      const auto index = static_cast<std::size_t>(expert);
      copy_loads.push_back(node_loads[index] / counts[index]);
    }
    Assignment within = pack_evenly(copy_loads, node_devices);
    if (shape.redundant_experts > 0) separate_copies(within, expert_of_copy, copy_loads, node_devices);
    for (std::size_t copy = 0; copy < within.size(); ++copy) {
      const std::size_t expert = experts[static_cast<std::size_t>(expert_of_copy[copy])];
      devices[expert].push_back(static_cast<std::int32_t>(node * node_devices) + within[copy]);
    }
  }
  for (std::size_t expert = 0; expert < loads.size(); ++expert) {
    std::ranges::sort(devices[expert]);
    packed.counts[expert] = static_cast<std::int32_t>(devices[expert].size());
    packed.assignment.insert(packed.assignment.end(), devices[expert].begin(), devices[expert].end());
  }
  return packed;
}

}  // namespace gem
