#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"
#include "verification/replay_request.hpp"

namespace gem {

/// What is replayed, checked; the same on every rank.
struct ReplayQuestion {
  LatencyProfile profile;
  LoadTrace trace;                      ///< the steps and layers to replay
  std::vector<Mapping> mappings;        ///< linear first
  std::vector<std::string> names;       ///< [mapping], each another
  std::vector<RunTimeOptions> decided;  ///< [mapping] what of it isn't as the mapping says
  std::size_t first_step = 0;
  std::size_t model_layers = 0;  ///< of the whole trace
  std::size_t judged = 0;        ///< index of the mapping that the verdict is about
  std::string sample_note;
};

/// Chooses steps, layers and the judged mapping; linear placement is put first. UsageError or DataError with the remedy
/// for what doesn't fit together.
ReplayQuestion make_replay_question(const ReplayRequest& request, const LatencyProfile& profile, const LoadTrace& whole,
                                    const std::vector<Mapping>& mappings);

/// What will be replayed, in a few lines.
std::string describe_replay(const ReplayRequest& request, const ReplayQuestion& question,
                            const std::string& device_kind);

}  // namespace gem
