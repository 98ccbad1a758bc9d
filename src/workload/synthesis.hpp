#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/option.hpp"
#include "model/load_trace.hpp"
#include "model/moe_model.hpp"

namespace gem {

/// What a synthetic workload is like. Every layer is drawn on its own, from the same parameters.
///
/// Popularity: the experts' mean loads follow the quantiles of a Weibull distribution, dealt to experts at random:
///   load(rank r of E) ~ (-ln((r + 1/2) / E))^b, with b such that the largest is `skew` mean loads.
///   Measured routing has this shape: a few hot experts and a long row of cold ones.
/// Consistent experts are the popular ones: always well above the mean load.
/// Temporal experts: a share `temporal_share` of the experts, next below the mean load, in groups of at most four.
///   Each group is quiet or in a burst, a two-state Markov chain: in bursts for a share `burst_share` of the steps,
///   `burst_steps` steps at a time on average. With probability `correlation` an expert follows its group's chain, else
///   a chain of its own. In a burst it carries `burstiness` times its own mean, else so much less that its mean stays.
/// Tokens: an expert gets a binomial number of the step's tokens, at its share of the loads; then single tokens are
///   added or taken, at random by variance, until step and layer sum to tokens x top_k exactly. No expert gets more
///   than all tokens, so the counts are those of some routing in which every token uses top_k different experts.
///
/// Defaults lie near what measured routing shows (jobs/data/routing, batched at 32 to 512 tokens a step; medians over
/// layers as `describe` gives them; in brackets the defaults at such sizes): skew 2.6 to 4.4 (3.0), consistent experts
/// 9 to 38 % (16 to 34 %), temporal ones 0 to 27 % (5 to 16 %), correlation with the next step -0.1 to 0.2 (0.06 to
/// 0.16), of pairs 0.17 to 0.52 (0.09 to 0.28). Layers of a real model differ more than the ones drawn here.
struct SynthesisOptions {
  std::size_t expert_count = 0;
  std::size_t top_k = 0;
  std::vector<std::int32_t> layer_ids;  ///< one a layer
  std::size_t tokens_per_step = 256;
  std::size_t steps = 256;
  double skew = 3.0;            ///< largest over mean of the experts' mean loads; 1 or less: all alike
  double temporal_share = 0.1;  ///< share of the experts, 0 to 1
  double burstiness = 4.0;      ///< load in a burst over the expert's own mean; 1 or less: no bursts
  double burst_share = 0.12;    ///< share of the steps that a temporal expert is in a burst
  double burst_steps = 4.0;     ///< mean length of a burst, at least 1
  double correlation = 0.9;     ///< how far the experts of a group burst together, 0 to 1
  std::uint64_t seed = 0;
};

/// What the loads are like; sizes are said in other ways.
void describe(OptionList& options, SynthesisOptions& synthesis);

/// A trace drawn from the model above; names (model, task, phase) are left to the caller. UsageError for sizes or
/// parameters that contradict each other.
LoadTrace synthesize_trace(const SynthesisOptions& options);

/// Decoder-layer numbers of a model's MoE layers: the last one is MoE, and they lie evenly before it. (Models have
/// dense layers first, or MoE in every second layer.)
std::vector<std::int32_t> moe_layer_ids(const MoeModel& model);

}  // namespace gem
