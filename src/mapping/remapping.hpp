#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "base/json_record.hpp"
#include "base/option.hpp"
#include "mapping/mapping_question.hpp"
#include "model/mapping.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// How far a running placement may be changed, as a user says it.
struct RemapRequest {
  std::string from{};                      ///< file of the placement that runs; empty: none does
  std::optional<std::size_t> max_moves{};  ///< of a layer; none: any number
  std::optional<double> horizon_steps{};   ///< for which moves must pay; none: they cost nothing
  std::optional<double> move_s{};          ///< of one expert; none: by its bytes and the profile's pairs
};

void describe(OptionList& options, RemapRequest& request);

/// The option that says what a move takes, of all programs that price moves: see move_seconds.
void describe_move_time(OptionList& options, std::optional<double>& move_s);

/// OptionError for options that need {from}, or need what the profile doesn't have.
void check_remap_request(const RemapRequest& request, const MappingQuestion& question);

/// Bytes of one expert's weights; 0 where the profile doesn't say.
std::size_t expert_bytes_of(const LatencyProfile& profile);

/// Seconds of one move: as stated, else an expert's bytes at the median speed between two devices of the profile;
/// nothing where neither is known.
std::optional<double> move_seconds(std::optional<double> stated_s, const LatencyProfile& profile);

/// What was made of the running placement.
struct RemapAnswer {
  Mapping mapping;     ///< with the moves that lead to it
  std::string report;  ///< the table of how much how many moves bring; on rank 0
  JsonRecord record;   ///< its figures, for --json; on rank 0
};

/// The best placement within so many moves of `present` that pays within the horizon; `target` is what a search without
/// limit found. Layers are searched like those of the question, with as many disturbances. The mapping is on rank 0.
/// Collective.
RemapAnswer remap(const Communicator& world, const MappingQuestion& question, const Mapping& present,
                  const Mapping& target, const RemapRequest& request);

}  // namespace gem
