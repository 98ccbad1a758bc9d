#pragma once

#include <cstddef>
#include <string>

#include "search/mapping_question.hpp"

namespace gem {

/// How a mapping is to be found, as a user says it; see gem-map --help.
struct MappingRequest {
  std::string effort = "default";     ///< as for options_of_effort
  std::string features = "tiles";     ///< as for parse_features
  std::string objective = "mean";     ///< as for parse_objective
  double exchange_row_ns = 0.0;       ///< time of dispatch and combine for each row of the device that gets most
  std::size_t mixed_steps = 512;      ///< search on at least so many steps
  std::size_t expert_groups = 1;      ///< keep so many groups of experts together
  std::size_t redundant_experts = 0;  ///< further copies of experts, a layer
  std::size_t starts = 0;             ///< 0: by effort
  std::size_t iterations = 0;         ///< 0: by effort
  std::size_t seed = 1;
};

/// The question of which only profile and traces are missing. UsageError for a word that is unknown.
MappingQuestion make_question(const MappingRequest& request, Method method);

}  // namespace gem
