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

/// What a score of `mapping` on `trace` from `first_step` on is worth: "held-out requests", "later steps of the same
/// requests", "another task", "unknown whether searched on" or "in-sample".
std::string sample_note(const Mapping& mapping, const LoadTrace& trace, std::size_t first_step);

/// The trace with only the layers of the given model layer ids, in that order; UsageError listing the layers there are
/// for an unknown one, or for one that is given twice. No ids: all layers.
LoadTrace layers_of(const LoadTrace& trace, const std::vector<std::int32_t>& layer_ids);

/// What to call mappings of these methods, each another: by its method; where methods repeat, by its file's name
/// without folder and ending, or, if these repeat too (or there are none), "gem", "gem#2", ... `files`: one a mapping,
/// or none.
std::vector<std::string> distinct_names(const std::vector<std::string>& methods, const std::vector<std::string>& files);

/// Expert e of E on device e / (E / D) in every layer of the trace: what engines do by default.
Mapping linear_mapping(const LoadTrace& trace, std::size_t device_count);

}  // namespace gem
