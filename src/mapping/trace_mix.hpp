#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "mapping/mapping_answer.hpp"
#include "mapping/mapping_question.hpp"

namespace gem {

/// One trace of the steps of several, each in proportion to its weight (none: all the same), evenly spaced in it and
/// again from its beginning where it has too few; as many steps as all have together. Steps of groups of requests keep
/// these where all traces have them. UsageError unless all are of one model, layers and top-k.
LoadTrace mix_of(const std::vector<LoadTrace>& traces, const std::vector<std::int32_t>& weights);

/// What a mapping for several traces loses on each of them.
struct TraceLosses {
  std::string text;                 ///< a table
  std::vector<JsonRecord> records;  ///< [trace], for --json
};

/// Against a mapping searched on that trace alone. `tests` are the traces to score on, in the same order; none: those
/// searched on. Collective; on rank 0, else empty.
TraceLosses describe_losses(const Communicator& world, const MappingQuestion& question, const Mapping& common,
                            const std::vector<LoadTrace>& traces, const std::vector<LoadTrace>& tests);

}  // namespace gem
