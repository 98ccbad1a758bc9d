#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// Devices on equally large nodes, neighbours together, and what a device holds.
struct NodeShape {
  std::size_t nodes = 1;
  std::size_t devices = 1;            ///< of all nodes
  std::size_t groups = 1;             ///< of consecutive experts, that stay on one node
  std::size_t redundant_experts = 0;  ///< further copies
};

/// Copies of one layer's experts and where they are.
struct PackedCopies {
  std::vector<std::int32_t> counts;  ///< [expert]
  Assignment assignment;             ///< [copy], an expert's copies follow each other
};

/// DeepSeek's EPLB in its hierarchical form, by mean loads [expert]: groups of experts packed over the nodes; on each
/// node as many copies of those whose copies carry the most; these packed over the node's devices, none twice on one.
/// UsageError unless groups divide the experts, nodes the groups, the devices and the copies, and devices the slots,
/// and for more copies than a node's devices can hold apart.
PackedCopies pack_by_nodes(std::span<const double> loads, const NodeShape& shape);

}  // namespace gem
