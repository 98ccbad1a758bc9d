#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "model/mapping.hpp"
#include "search/baselines.hpp"
#include "search/comparison.hpp"
#include "search/model_search.hpp"

namespace gem {

/// All that a mapping is found from, the same on every rank.
struct MappingQuestion {
  LatencyProfile profile;
  LoadTrace train;                ///< searched on
  std::optional<LoadTrace> test;  ///< scored only
  HeldOut relation = HeldOut::InSample;
  LoadFeatures features = LoadFeatures::TilesAndExperts;
  Method method = Method::Gem;
  SearchOptions search;
};

struct MappingAnswer {
  Mapping mapping;
  std::string report;  ///< the table of methods and what it was made from; on rank 0
};

/// What is used of the files that were read.
struct Selection {
  std::size_t devices = 0;      ///< the first so many of the profile; 0: all
  bool equal_devices = false;   ///< every device with the mean latency
  std::size_t train_steps = 0;  ///< the first so many steps; 0: all. The rest are scored unless there is a test trace.
  bool allow_model_mismatch = false;
};

/// "tiles" or "tokens"; UsageError otherwise.
LoadFeatures parse_features(const std::string& name);

/// "fast" (one local optimum a layer), "default" or "thorough"; UsageError otherwise.
SearchOptions options_of_effort(const std::string& name);

/// Cuts profile and traces to what is used and checks that they fit together. UsageError or DataError with the remedy.
void prepare(MappingQuestion& question, const Selection& selection);

/// Gives every rank rank 0's profile, traces and relation.
void share(const Communicator& world, MappingQuestion& question);

/// What would be searched and about how long it would take, from a short trial. Collective; the text is rank 0's.
std::string describe_plan(const Communicator& world, const MappingQuestion& question);

/// Finds the mapping and compares all methods. Collective.
MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question);

}  // namespace gem
