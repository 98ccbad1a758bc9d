#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cost/cost_model.hpp"
#include "mapping/methods.hpp"
#include "mapping/model_search.hpp"
#include "mapping/sample.hpp"
#include "model/expert_copies.hpp"
#include "model/latency_profile.hpp"
#include "model/mapping.hpp"
#include "model/profile_doubts.hpp"
#include "platform/mpi/mpi.hpp"
#include "search/expert_groups.hpp"
#include "search/run_time_balance.hpp"

namespace gem {

/// What is minimised: the mean step, or the mean of the slowest steps, which is the way to a low 99th percentile.
enum class Objective { Mean, P99 };

/// All that a mapping is found from, the same on every rank.
struct MappingQuestion {
  LatencyProfile profile;
  LoadTrace train;                   ///< searched on
  std::optional<LoadTrace> test;     ///< scored only
  Sample sample = Sample::InSample;  ///< what is scored, beside what is searched on
  Method method = default_method();
  std::vector<Method> wanted{};  ///< further methods whose mappings are needed: what they can't find is an error, too
  CostOptions cost{};
  std::string exchange_note{};  ///< what count_exchange says
  std::string shared_note{};    ///< what count_shared_experts says
  Objective objective = Objective::Mean;
  /// Search on at least so many steps, see with_mixed_steps; none: as many as suit the layers' size.
  std::optional<std::size_t> mixed_steps = 0;
  bool certify = false;                ///< prove optima where that can be done
  std::size_t redundant_experts = 0;   ///< further copies of experts, a layer
  std::size_t expert_groups = 1;       ///< keep so many groups of experts together, see ExpertGroups
  std::optional<std::size_t> folds{};  ///< of cross-validation, see fold_count_of
  double lean = 0.0;                   ///< search on steps so far from their own toward the mean, see leaned
  std::optional<Method> instead{};     ///< whose mapping methods that search give as theirs
  std::size_t routing_groups = 1;      ///< of experts, of which a token uses a few: on one node, see NodeShape
  std::size_t levels = 1;              ///< 2: experts to nodes first, then to devices
  RunTimeOptions run_time{};
  SearchOptions search;
  std::vector<Mapping> given{};      ///< scored beside the methods', called by their `method`; see fitted; on rank 0
  std::vector<ProfileDoubt> doubts;  ///< of the whole profile; on rank 0
};

/// What is used of the files that were read.
struct Selection {
  std::size_t devices = 0;      ///< the first so many of the profile; 0: all
  bool equal_devices = false;   ///< every device with the mean latency
  std::size_t train_steps = 0;  ///< the first so many steps; 0: all. The rest are scored unless there is a test trace.
  TopologyOptions topology{};   ///< in place of what the profile says
  bool allow_model_mismatch = false;
  bool strict = false;  ///< a doubtful profile is refused
};

/// Cuts profile and traces to what is used and checks that they fit together. UsageError or DataError with the remedy.
void prepare(MappingQuestion& question, const Selection& selection);

/// A mapping that was made elsewhere, its layers as those searched on. DataError if it is of other devices, experts or
/// layers; UsageError if it has another number of copies than is asked for, for which the bounds would not hold.
Mapping fitted(const Mapping& mapping, const MappingQuestion& question);

/// Folds to cross-validate in, 0 for not: what was asked for, else the trace's groups of requests where there are any
/// and no steps to score on.
std::size_t fold_count_of(const MappingQuestion& question);

/// How many steps at least are searched on: as asked for, else by the number of experts.
std::size_t mixed_steps_of(const MappingQuestion& question);

/// The steps of `train`, leaned and mixed, as the question says.
LoadTrace steps_to_search_on(const MappingQuestion& question);

/// The groups of experts that stay together. UsageError as of ExpertGroups.
ExpertGroups expert_groups_of(const MappingQuestion& question);

/// Gives every rank rank 0's profile, traces and what these tell, the exchange as far as it counts among it.
/// Collective.
void share(const Communicator& world, MappingQuestion& question);

/// Whether the profile's devices are on two or more equally large nodes, neighbours together.
bool has_nodes(const LatencyProfile& profile);

/// What is searched on: the stages that count, in the features that were chosen.
CostModel cost_model_of(const MappingQuestion& question);

/// Which experts get copies where mean loads decide, as EPLB chooses them; empty where there are to be none.
CopyCounts copies_by_mean_load(const MappingQuestion& question);

/// "24 layers x 32 experts on 4 devices,", and on a second line "128 steps of task 'mmlu' (part train)".
std::string describe_question(const MappingQuestion& question);

}  // namespace gem
