#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "cost/cost_model.hpp"
#include "model/expert_copies.hpp"
#include "model/mapping.hpp"
#include "model/topology.hpp"
#include "search/score.hpp"

// What engines decide anew in every step: how copies of an expert share its tokens, and which experts are copied for
// one step alone. Nothing here is searched for; it is costed on whole tokens and tiles, as mappings are.

namespace gem {

/// How the copies of an expert share its tokens of a step.
enum class CopySplit {
  Even,   ///< each as many
  Speed,  ///< in proportion to their devices' speeds, whatever else these hold
  Lp      ///< step by step so that tokens over speed of the fullest device is the minimum (a linear program)
};

inline std::vector<OptionWord<CopySplit>> words_of(CopySplit) {
  return {{"even", CopySplit::Even}, {"speed", CopySplit::Speed}, {"lp", CopySplit::Lp}};
}

/// What a device is given of a step's tokens by a balancer that moves experts at run time.
enum class Quota {
  Equal,  ///< each as many
  Speed   ///< in proportion to their speeds
};

inline std::vector<OptionWord<Quota>> words_of(Quota) {
  return {{"equal", Quota::Equal}, {"speed", Quota::Speed}};
}

/// Which of it is shown beside the methods.
struct RunTimeOptions {
  CopySplit split = CopySplit::Even;  ///< of the methods' copies
  bool online_exact = false;
  Quota quota = Quota::Equal;
};

void describe(OptionList& options, RunTimeOptions& run_time);

/// Tokens of an expert that a device computes in one step.
struct ExpertShare {
  std::int32_t expert = 0;
  std::int32_t device = 0;
  std::uint32_t tokens = 0;
  std::int32_t from = -1;  ///< the device that its weights come from in this step; -1 where they are at home
};

/// Tokens [expert] of a step and layer shared by the copies of its homes. `speeds` [device], above 0.
std::vector<ExpertShare> split_shares(std::span<const std::uint32_t> tokens, const ExpertHomes& homes,
                                      std::span<const double> speeds, CopySplit split);

/// The same where devices beyond their quota, 1 % aside, send experts and tokens to those below theirs: the fullest
/// device first, its expert with the most tokens first, to the emptiest device of its own node (`node_of` [device],
/// empty for one node), else of any.
std::vector<ExpertShare> online_shares(std::span<const std::uint32_t> tokens, const ExpertHomes& homes,
                                       std::span<const double> quota_speeds, std::span<const std::int32_t> node_of);

/// The shares that are at home, not copied.
std::vector<ExpertShare> at_home(std::span<const ExpertShare> shares);

/// The shares of one step as homes of that step alone.
ExpertHomes homes_of_shares(std::span<const ExpertShare> shares, std::size_t expert_count);

/// When the copies of one step and layer are there.
struct CopyTimes {
  std::vector<double> there_s;  ///< [device], 0 where none comes
  std::size_t count = 0;
};

/// A copy takes the latency and `expert_bytes` over the bandwidth of its link; a device's copies, in and out, follow
/// each other. An expert that goes to several devices is passed on by them while it comes: it leaves its sender once,
/// and enters each other node once. The topology must have links.
CopyTimes copy_times(std::span<const ExpertShare> shares, const Topology& topology, double expert_bytes);

/// Seconds of a device whose last copy is there after `there_s`, which takes `whole_s` for all its experts and `home_s`
/// for those at home: copies hide under what is at home, and what they add to the compute comes when they are there.
double seconds_with_copies(double whole_s, double home_s, double there_s);

/// What a mapping costs whose copies share tokens so.
Score score_split(const CostModel& model, const LoadTrace& trace, const Mapping& mapping, CopySplit split);

/// What moving experts in every step costs, from a mapping's homes.
struct OnlineScore {
  Score score;
  double copies = 0.0;     ///< sent a layer and step, mean
  double copy_s = 0.0;     ///< until the last copy of a layer is there, mean over layers and steps
  double exposed_s = 0.0;  ///< of that not hidden, mean likewise
};

/// As copy_times and seconds_with_copies say; deciding takes no time.
OnlineScore score_online(const CostModel& model, const LoadTrace& trace, const Mapping& homes, const Topology& topology,
                         double expert_bytes, Quota quota);

}  // namespace gem
