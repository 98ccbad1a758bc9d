#pragma once

#include <string>
#include <vector>

#include "mapping/mapping_question.hpp"
#include "model/mapping.hpp"

namespace gem {

/// The mapping that was found, and what it was compared with.
struct MappingAnswer {
  Mapping mapping;                       ///< of the method asked for
  std::vector<Mapping> others;           ///< of the methods that it was compared with
  std::vector<ComparedMethod> compared;  ///< scores of all methods, linear first; on rank 0
  Bounds bounds;                         ///< on rank 0
  std::string report;                    ///< what was searched, and the table of methods; on rank 0
};

/// Finds the mapping and compares all methods, judged on the latency surface whatever was searched on. Collective.
MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
