#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// First step of `trace` that none of the mappings was searched on, where they were searched on the first steps of the
/// same task and an overlapping part; 0 otherwise. A mapping that does not name its task may have been: its number of
/// steps is passed over if the trace has more. UsageError if no step is left.
std::size_t first_unseen_step(const std::vector<Mapping>& mappings, const LoadTrace& trace);

/// The trace with only the layers of the given model layer ids, in that order; UsageError listing the layers there are
/// for an unknown one, or for one that is given twice. No ids: all layers.
LoadTrace layers_of(const LoadTrace& trace, const std::vector<std::int32_t>& layer_ids);

/// `count` of the layers, or all where there are fewer: the first, the last and evenly between; of one, the first.
std::vector<std::int32_t> spread_layers(const std::vector<std::int32_t>& layer_ids, std::size_t count);

/// What to call mappings of these methods, each another: by its method; where methods repeat, by its file's name
/// without folder and ending, or, if these repeat too (or there are none), "gem", "gem#2", ... `files`: one a mapping,
/// or none.
std::vector<std::string> distinct_names(const std::vector<std::string>& methods, const std::vector<std::string>& files);

}  // namespace gem
