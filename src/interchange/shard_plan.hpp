#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "interchange/renumbering.hpp"
#include "interchange/safetensors.hpp"

namespace gem {

/// What happens to a part of a file on its way, beside being moved.
struct PartRewrite {
  std::size_t element_bytes = 0;            ///< of the expert numbers in it, whole numbers in little endian
  std::vector<std::int32_t> number_of_old;  ///< the new number of each old one
  bool operator==(const PartRewrite&) const = default;
};

/// How a file of a checkpoint becomes its renumbered one: some text first, then parts of the old file in a new order.
struct ShardPlan {
  struct Part {
    std::uint64_t offset;  ///< in the old file
    std::uint64_t byte_count;
    std::optional<PartRewrite> rewrite = {};
  };
  std::string prefix;
  std::vector<Part> parts;
  std::optional<FileVersion> source = {};  ///< of the old file when this was planned; none if no part of it is taken
  std::uint64_t part_bytes() const;
};

/// The tensor's name with its expert's new number; the name itself if it has none, or the layer is not renumbered.
/// DataError naming `origin` for an expert that the layer cannot have.
std::string renumbered_name(const std::string& name, const Renumbering& renumbering, const std::string& origin);

/// Plans one safetensors file: tensors of one expert get another name, tensors of all experts have their blocks moved,
/// numbers of experts are replaced, everything else stays. The header is padded to a multiple of 8, or to
/// `header_bytes` if that is not 0 (and large enough). DataError naming file and tensor for one that stands where
/// experts do under a name that no layout has, or has a shape that doesn't fit.
ShardPlan plan_shard(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering,
                     std::uint64_t header_bytes);

/// Carries out a rewrite on the bytes of a part, or of a piece of whole elements of it. DataError naming `origin` for
/// a number that no expert has; -1 (none) stays.
void rewrite_numbers(const PartRewrite& rewrite, std::span<std::byte> bytes, const std::string& origin);

/// The text of model.safetensors.index.json with the experts renumbered in the names of tensors, and, as in any
/// configuration, beside them; `origin` names it.
std::string renumbered_index(const std::string& text, const Renumbering& renumbering, const std::string& origin);

}  // namespace gem
