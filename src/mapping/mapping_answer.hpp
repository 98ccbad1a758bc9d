#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/comparison.hpp"
#include "mapping/mapping_question.hpp"
#include "model/mapping.hpp"

namespace gem {

/// The mapping that was found, and what it was compared with.
struct MappingAnswer {
  std::vector<Mapping> mappings;         ///< of all methods that were run, in the table's order, the reference first
  std::size_t chosen = 0;                ///< index of the method asked for
  std::vector<ComparedMethod> compared;  ///< their scores; on rank 0
  Bounds bounds;                         ///< on rank 0
  std::string report;                    ///< what was searched, and the table of methods; on rank 0
  JsonRecord validation{};               ///< what cross-validation expects, for --json; empty without any

  const Mapping& mapping() const { return mappings[chosen]; }
};

/// Finds the mapping and compares it with those of all methods that need no search, judged on the latency surface
/// whatever was searched on. Collective.
MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
