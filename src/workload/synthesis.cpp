#include "workload/synthesis.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/text.hpp"
#include "workload/trace_size.hpp"

namespace gem {
namespace {

constexpr std::size_t group_size = 4;

bool bursts(const SynthesisOptions& options) {
  return options.temporal_share > 0.0 && options.burstiness > 1.0;
}

void check(const SynthesisOptions& options) {
  if (options.layer_ids.empty() || options.steps == 0 || options.tokens_per_step == 0 || options.top_k == 0)
    throw UsageError("a trace needs at least one step, layer, token and expert a token");
  check_options(options);
  if (options.top_k > options.expert_count)
    throw UsageError(fmt::format("a token cannot use {} of {} experts", options.top_k, options.expert_count));
  check_trace_size({options.steps, options.layer_ids.size(), options.expert_count, options.tokens_per_step});
  const double most_skew = static_cast<double>(options.expert_count) / static_cast<double>(options.top_k);
  if (!(options.skew >= 0.0 && options.skew <= most_skew))
    throw option_error(option_name(&SynthesisOptions::skew),
                       "{} {:g} is out of reach: the busiest expert can get all tokens at most, which is {:.3g} mean "
                       "loads (experts / top-k); 1 is even",
                       options.skew, most_skew);
  if (!bursts(options)) return;
  if (!(options.burst_share > 0.0 && options.burst_share * options.burstiness <= 1.0))
    throw option_error(option_name(&SynthesisOptions::burst_share),
                       "{} {:g} x {} {:g} must be above 0 and at most 1, or the bursts alone carry more than the "
                       "expert's mean load",
                       options.burst_share, option_name(&SynthesisOptions::burstiness), options.burstiness);
  if (options.burst_share > options.burst_steps * (1.0 - options.burst_share))
    throw option_error(option_name(&SynthesisOptions::burst_steps),
                       "bursts of {1:g} steps cannot fill a share {2:g} of the steps; raise {0}", options.burst_steps,
                       options.burst_share);
}

/// Mean loads by rank, heaviest first, mean 1, for the exponent b.
std::vector<double> weibull_loads(std::size_t expert_count, double b) {
  std::vector<double> loads;
  for (std::size_t rank = 0; rank < expert_count; ++rank)
    loads.push_back(std::pow(-std::log((static_cast<double>(rank) + 0.5) / static_cast<double>(expert_count)), b));
  const double mean = std::accumulate(loads.begin(), loads.end(), 0.0) / static_cast<double>(expert_count);
  for (double& load : loads) load /= mean;
  return loads;
}

/// The same with the heaviest at `skew`. The heaviest grows with b, from 1 at b = 0.
std::vector<double> loads_of_skew(std::size_t expert_count, double skew) {
  double low = 0.0;
  double high = 64.0;
  for (int halving = 0; halving < 60; ++halving) {
    const double middle = 0.5 * (low + high);
    (weibull_loads(expert_count, middle).front() < skew ? low : high) = middle;
  }
  return weibull_loads(expert_count, low);
}

/// A two-state Markov chain, started in its stationary state.
class BurstChain {
 public:
  BurstChain(const SynthesisOptions& options, RandomStream& random)
      : end_probability_(1.0 / options.burst_steps),
        start_probability_(options.burst_share / (1.0 - options.burst_share) / options.burst_steps),
        in_burst_(random.uniform() < options.burst_share) {}

  bool in_burst() const { return in_burst_; }
  void advance(RandomStream& random) {
    in_burst_ = random.uniform() < (in_burst_ ? 1.0 - end_probability_ : start_probability_);
  }

 private:
  double end_probability_;
  double start_probability_;
  bool in_burst_;
};

struct TemporalExpert {
  std::size_t expert;
  std::size_t chain;
};

/// Which experts are temporal, given mean loads by rank and the expert of each rank, and the chain that each follows.
/// Chains 0 .. groups - 1 are the groups' own.
std::vector<TemporalExpert> temporal_experts(const SynthesisOptions& options, std::span<const double> loads_by_rank,
                                             std::span<const std::size_t> expert_of_rank, RandomStream& random) {
  const auto wanted =
      static_cast<std::size_t>(std::lround(options.temporal_share * static_cast<double>(options.expert_count)));
  const std::size_t groups = (wanted + group_size - 1) / group_size;
  // Next below the mean, or further up if too few lie below it.
  const auto below = static_cast<std::size_t>(
      std::ranges::find_if(loads_by_rank, [](double load) { return load < 1.0; }) - loads_by_rank.begin());
  const std::size_t first = std::min(below, options.expert_count - wanted);
  std::vector<TemporalExpert> temporal;
  std::size_t own_chains = 0;
  for (std::size_t i = 0; i < wanted; ++i) {
    const bool follows = random.uniform() < options.correlation;
    temporal.push_back({expert_of_rank[first + i], follows ? i % groups : groups + own_chains++});
  }
  return temporal;
}

/// Share of the tokens that use each expert: in proportion to the loads, none above 1, top_k together.
std::vector<double> token_shares(const std::vector<double>& loads, std::size_t top_k) {
  std::vector<double> shares(loads.size(), 0.0);
  std::vector<bool> full(loads.size(), false);
  for (bool again = true; again;) {
    again = false;
    double left = static_cast<double>(top_k);
    double load_left = 0.0;
    for (std::size_t e = 0; e < loads.size(); ++e) full[e] ? left -= 1.0 : load_left += loads[e];
    for (std::size_t e = 0; e < loads.size(); ++e) {
      if (full[e]) continue;
      shares[e] = load_left > 0.0 ? left * loads[e] / load_left : 0.0;
      if (shares[e] < 1.0) continue;
      shares[e] = 1.0;
      full[e] = again = true;
    }
  }
  return shares;
}

/// Binomial number of `count` trials: by inversion, or rounded from the normal distribution where the variance is large
/// enough (30) for the difference not to matter.
std::uint32_t binomial(std::size_t count, double probability, RandomStream& random) {
  if (probability > 0.5) return static_cast<std::uint32_t>(count) - binomial(count, 1.0 - probability, random);
  const auto trials = static_cast<double>(count);
  const double variance = trials * probability * (1.0 - probability);
  if (variance > 30.0) {
    const double drawn = std::round(trials * probability + std::sqrt(variance) * random.normal());
    return static_cast<std::uint32_t>(std::clamp(drawn, 0.0, trials));
  }
  double chance = std::pow(1.0 - probability, trials);  // of exactly `successes`
  double left = random.uniform();
  std::size_t successes = 0;
  while (left >= chance && successes < count) {
    left -= chance;
    ++successes;
    chance *= (trials - static_cast<double>(successes) + 1.0) / static_cast<double>(successes) * probability /
              (1.0 - probability);
  }
  return static_cast<std::uint32_t>(successes);
}

/// Draws the counts of one step and layer into `counts`, [expert].
void draw_counts(const std::vector<double>& shares, std::size_t tokens, std::size_t top_k, RandomStream& random,
                 std::span<std::uint32_t> counts) {
  std::int64_t missing = static_cast<std::int64_t>(tokens * top_k);
  for (std::size_t e = 0; e < counts.size(); ++e) {
    counts[e] = binomial(tokens, shares[e], random);
    missing -= counts[e];
  }
  for (; missing != 0; missing += missing > 0 ? -1 : 1) {
    // Never 0 for an expert that can change: rounding must not leave the last token without a place.
    const auto weight = [&](std::size_t e) {
      const bool can_change = missing > 0 ? counts[e] < tokens : counts[e] > 0;
      return can_change ? shares[e] * (1.0 - shares[e]) + 1e-12 : 0.0;
    };
    double sum = 0.0;
    for (std::size_t e = 0; e < counts.size(); ++e) sum += weight(e);
    double left = random.uniform() * sum;
    std::size_t chosen = counts.size();
    for (std::size_t e = 0; e < counts.size(); ++e) {
      if (weight(e) == 0.0) continue;
      chosen = e;
      left -= weight(e);
      if (left < 0.0) break;
    }
    missing > 0 ? ++counts[chosen] : --counts[chosen];
  }
}

void synthesize_layer(const SynthesisOptions& options, std::size_t layer, std::span<const double> loads_by_rank,
                      Cube<std::uint32_t>& counts) {
  constexpr std::uint64_t synthesis_stream = 4;
  RandomStream random{options.seed, synthesis_stream, layer};
  std::vector<std::size_t> expert_of_rank(options.expert_count);
  std::iota(expert_of_rank.begin(), expert_of_rank.end(), std::size_t{0});
  random.shuffle(std::span(expert_of_rank));
  std::vector<double> mean_loads(options.expert_count);
  for (std::size_t rank = 0; rank < options.expert_count; ++rank)
    mean_loads[expert_of_rank[rank]] = loads_by_rank[rank];

  std::vector<TemporalExpert> temporal;
  if (bursts(options)) temporal = temporal_experts(options, loads_by_rank, expert_of_rank, random);
  std::size_t chain_count = 0;
  for (const TemporalExpert& expert : temporal) chain_count = std::max(chain_count, expert.chain + 1);
  std::vector<BurstChain> chains;
  for (std::size_t chain = 0; chain < chain_count; ++chain) chains.emplace_back(options, random);

  const double quiet = (1.0 - options.burst_share * options.burstiness) / (1.0 - options.burst_share);
  std::vector<double> loads = mean_loads;
  for (std::size_t step = 0; step < options.steps; ++step) {
    for (const auto& [expert, chain] : temporal)
      loads[expert] = mean_loads[expert] * (chains[chain].in_burst() ? options.burstiness : quiet);
    draw_counts(token_shares(loads, options.top_k), options.tokens_per_step, options.top_k, random,
                counts.row(step, layer));
    for (BurstChain& chain : chains) chain.advance(random);
  }
}

}  // namespace

void describe(OptionList& options, SynthesisOptions& synthesis) {
  options.group("Synthetic loads");
  options.add("skew", synthesis.skew, "X",
              "mean load of the busiest expert over the mean of all, as gem-trace describe prints it; 1 or less: all "
              "alike");
  options.add("temporal-share", synthesis.temporal_share, "F", "share of the experts that burst").range(0, 1);
  options
      .add("burstiness", synthesis.burstiness, "X",
           "load of such an expert in a burst over its own mean; 1 or less: no bursts")
      .range(0, 1e6);
  options.add("burst-share", synthesis.burst_share, "F", "share of the steps that it is in a burst").range(0, 1);
  options.add("burst-steps", synthesis.burst_steps, "X", "mean length of a burst, steps").range(1, 1e6);
  options.add("correlation", synthesis.correlation, "F", "how far the experts of a group (of at most 4) burst together")
      .range(0, 1);
  options.add("seed", synthesis.seed, "N", "seed of all random choices");
}

LoadTrace synthesize_trace(const SynthesisOptions& options) {
  check(options);
  LoadTrace trace;
  trace.top_k = options.top_k;
  trace.tokens_per_step = options.tokens_per_step;
  trace.layer_ids = options.layer_ids;
  trace.counts = Cube<std::uint32_t>(options.steps, options.layer_ids.size(), options.expert_count);
  const std::vector<double> loads_by_rank = loads_of_skew(options.expert_count, options.skew);
  for (std::size_t layer = 0; layer < options.layer_ids.size(); ++layer)
    synthesize_layer(options, layer, loads_by_rank, trace.counts);
  return trace;
}

std::vector<std::int32_t> moe_layer_ids(const MoeModel& model) {
  const std::size_t stride = std::max<std::size_t>(1, model.layer_count / model.moe_layer_count);
  const std::size_t last = std::max(model.layer_count, model.moe_layer_count) - 1;
  std::vector<std::int32_t> ids;
  for (std::size_t i = model.moe_layer_count; i-- > 0;) ids.push_back(static_cast<std::int32_t>(last - i * stride));
  return ids;
}

}  // namespace gem
