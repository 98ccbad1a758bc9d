#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "interchange/checkpoint.hpp"

namespace gem {

/// What a checkpoint's configuration says of routing.
struct RoutingConfig {
  std::size_t group_count = 1;        ///< groups of consecutive experts of which a token uses a few; 1: no such limit
  std::string group_origin;           ///< the key that says so, for messages
  std::size_t zero_expert_count = 0;  ///< zero-computation experts, which have rows in the router and no weights
};

/// What the user says instead.
struct StatedRouting {
  std::optional<std::size_t> expert_count;
  std::optional<std::size_t> group_count;
};

void describe(OptionList& options, StatedRouting& stated);

/// Reads config.json, and Mistral's params.json, whatever depth the keys stand at, for a mapping of `expert_count`
/// experts. DataError naming file and key if they state another number of experts or none, groups of experts of which
/// it is not clear how many, or experts that are tied to each other by their numbers; `stated` settles the first two.
RoutingConfig read_routing_config(const Checkpoint& checkpoint, std::size_t expert_count, const StatedRouting& stated);

}  // namespace gem
