#pragma once

#include <string>
#include <vector>

#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_question.hpp"
#include "model/mapping.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// What a method is given.
struct MethodTask {
  const Communicator& world;
  const MappingQuestion& question;
  MappingCosts& costs;                 ///< on the steps of the question's trace, on the surface whatever is searched on
  const std::vector<Mapping>& before;  ///< found by the methods before it in the table
};

/// What it found; name, scores and what else all mappings have are added by who called it.
struct MethodResult {
  Mapping mapping;
  std::vector<double> lower_bound_s{};  ///< [layer], of all stages, where it proved any; else empty
  std::string report{};                 ///< for people
};

}  // namespace gem
