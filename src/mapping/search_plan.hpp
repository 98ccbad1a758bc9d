#pragma once

#include <string>

#include "mapping/mapping_question.hpp"

namespace gem {

/// What would be searched and about how long it would take, from a short trial. Collective; the text is rank 0's.
std::string describe_search_plan(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
