#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// What shared experts, which every token uses, take with the routed ones, mean seconds a step of the slowest devices'
/// compute: each device computing those of its own tokens, and their tokens put on the least loaded devices, step by
/// step, in proportion to speed.
struct SharedScore {
  double own_s = 0.0;
  double placed_s = 0.0;
};

/// `shared_experts` of the routed experts' size, whose weights every device holds. For mappings without copies.
SharedScore score_shared(const CostModel& model, const LoadTrace& trace, const Mapping& mapping,
                         std::size_t shared_experts);

/// A table of all mappings without copies, and the same for --json.
struct SharedTable {
  std::string text;
  std::vector<JsonRecord> records;
};
SharedTable shared_table(const MappingQuestion& question, const std::vector<Mapping>& mappings,
                         std::size_t shared_experts);

}  // namespace gem
