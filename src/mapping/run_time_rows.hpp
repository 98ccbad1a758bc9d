#pragma once

#include <string>
#include <vector>

#include "mapping/comparison.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// What is decided anew in every step, beside the mappings that stay: copies that share tokens as RunTimeOptions::split
/// says ("gem+lp"), and experts that are moved at run time, from linear ("online-exact") and from the mapping that was
/// found ("gem+online").
struct RunTimeRows {
  std::vector<ComparedMethod> rows;
  std::string notes;  ///< for people, below the table
};

/// `mappings` as in MappingAnswer.
RunTimeRows run_time_rows(const MappingQuestion& question, const CostModel& model, const std::vector<Mapping>& mappings,
                          const Mapping& found);

}  // namespace gem
