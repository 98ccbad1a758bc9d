#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "interchange/renumbering.hpp"
#include "interchange/safetensors.hpp"

namespace gem {

/// How a file of a checkpoint becomes its renumbered one: some text first, then parts of the old file in a new order.
struct ShardPlan {
  struct Part {
    std::uint64_t offset;  ///< in the old file
    std::uint64_t byte_count;
  };
  std::string prefix;
  std::vector<Part> parts;
  std::uint64_t part_bytes() const;
};

/// What was met of the experts of one layer, to see that a checkpoint is whole.
struct LayerCoverage {
  std::set<std::int32_t> experts;   ///< with tensors of their own
  bool all_experts_tensor = false;  ///< a tensor with all experts in its first dimension: router or fused weights
};
using Coverage = std::map<std::int32_t, LayerCoverage>;  ///< by layer

/// The tensor's name with its expert's new number; the name itself if it has none, or the layer is not renumbered.
/// DataError naming `origin` for an expert that the layer cannot have.
std::string renumbered_name(const std::string& name, const Renumbering& renumbering, const std::string& origin);

/// Plans one safetensors file: tensors of one expert get another name, tensors of all experts have their blocks moved,
/// everything else stays. The header is padded to a multiple of 8, or to `header_bytes` if that is not 0 (and large
/// enough). DataError naming file and tensor for one that is in an MoE block under a name we don't know.
ShardPlan plan_shard(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering,
                     std::uint64_t header_bytes, Coverage& coverage);

/// The text of model.safetensors.index.json with the names of tensors renumbered; `origin` names it.
std::string renumbered_index(const std::string& text, const Renumbering& renumbering, const std::string& origin);

}  // namespace gem
