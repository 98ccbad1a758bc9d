#pragma once

#include <vector>

#include "mapping/mapping_question.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// Device of each expert, or copy, of every layer: [layer, expert or copy].
using MappingMatrix = Matrix<std::int32_t>;

/// What is placed: experts, or, of some of them, several copies.
struct Placed {
  CopyCounts copies;                        ///< empty: one of each
  std::vector<LayerProblem> problems;       ///< on the steps searched on
  std::vector<LayerProblem> test_problems;  ///< on those that are scored; on rank 0
};

/// A method's mapping, and what it places.
struct NamedMapping {
  Method method;
  MappingMatrix mapping;
  const Placed* placed;
};

/// All mappings that are compared. They point to what they place, so this stays where it is.
struct Candidates {
  /// With the mappings of all methods but the search's own.
  explicit Candidates(const MappingQuestion& question);
  Candidates(const Candidates&) = delete;
  Candidates& operator=(const Candidates&) = delete;

  CostModel cost_model;  ///< on the surface, whatever is searched on
  Placed experts;
  Placed packed_copies;    ///< copies as EPLB chooses them, where there are to be any
  Placed searched_copies;  ///< and as the search does
  std::vector<NamedMapping> mappings;
};

/// Copies as EPLB chooses them; empty where there are to be none.
CopyCounts copies_by_mean_load(const MappingQuestion& question);

}  // namespace gem
