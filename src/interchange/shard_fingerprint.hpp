#pragma once

#include <cstdint>

#include "interchange/shard_plan.hpp"

namespace gem {

/// A digest of a safetensors file: its header, and pieces of those tensors of the renumbering's layers in which experts
/// have their places. It tells the file from its renumbered one without reading all of it.
std::uint64_t fingerprint_of(const InputFile& file, const SafetensorsHeader& header, const Renumbering& renumbering);

/// The same of the file that `plan` makes of it.
std::uint64_t fingerprint_after(const ShardPlan& plan, const InputFile& file, const SafetensorsHeader& header,
                                const Renumbering& renumbering);

}  // namespace gem
