#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// How many redundant experts a layer are best, and what was tried.
struct BestCopies {
  std::size_t redundant_experts = 0;
  std::string report;                 ///< for people
  std::vector<JsonRecord> records{};  ///< the same, number by number
};

/// Tries none and one, two and four further slots a device: quick searches on the first half of the steps, scored on
/// the second; of equal ones the fewest. OptionError where nothing can be tried. Collective; every rank gets the
/// answer.
BestCopies best_copies(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
