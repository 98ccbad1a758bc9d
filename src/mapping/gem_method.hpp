#pragma once

#include <string>
#include <vector>

#include "mapping/candidates.hpp"
#include "model/mapping.hpp"

namespace gem {

/// What the search found.
struct Searched {
  MappingMatrix mapping;
  std::vector<double> lower_bound_s;  ///< [layer], where certificates hold for the trace's own steps; else empty
  std::vector<SearchPoint> course;
  std::string report;            ///< for people
  MappingMatrix without_copies;  ///< where there are any: what a quick search finds without
};

/// The search: no layer ends worse than the candidates that it begins with, judged on what is searched on. Where there
/// are to be copies it chooses them first, into `candidates`. Collective; every rank gets the answer.
Searched search_mapping(const Communicator& world, const MappingQuestion& question, Candidates& candidates);

}  // namespace gem
