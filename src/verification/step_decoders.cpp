#include "verification/step_decoders.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace gem {

std::size_t own_tokens(std::size_t tokens, std::size_t device_count, std::size_t device) {
  return tokens / device_count + (device < tokens % device_count ? 1 : 0);
}

namespace {

// How many of `active` experts each device gets, by its weight and no more than it has slots.
std::vector<std::size_t> active_by_device(std::size_t active, const std::vector<double>& weights,
                                          const std::vector<std::vector<std::size_t>>& experts_of) {
  std::vector<std::size_t> counts(weights.size(), 0);
  for (std::size_t i = 0; i < active; ++i) {
    std::size_t best = weights.size();
    for (std::size_t d = 0; d < weights.size(); ++d)
      if (counts[d] < experts_of[d].size() &&
          (best == weights.size() ||
           static_cast<double>(counts[d] + 1) / weights[d] < static_cast<double>(counts[best] + 1) / weights[best]))
        best = d;
    ++counts[best];
  }
  return counts;
}

}  // namespace

LoadTrace balanced_trace(const LoadTrace& trace, const std::vector<ExpertHomes>& homes,
                         const std::vector<double>& speeds) {
  LoadTrace balanced = trace;
  std::ranges::fill(balanced.counts.values(), 0u);
  const double sum = std::accumulate(speeds.begin(), speeds.end(), 0.0);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::vector<std::size_t>> experts_of(speeds.size());
    for (std::size_t expert = 0; expert < trace.expert_count(); ++expert)
      experts_of[static_cast<std::size_t>(homes[layer].of(expert).front())].push_back(expert);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      const auto counts = trace.counts.row(step, layer);
      const auto active = static_cast<std::size_t>(std::ranges::count_if(counts, [](auto c) { return c > 0; }));
      const std::vector<std::size_t> active_of = active_by_device(active, speeds, experts_of);
      const auto tokens = static_cast<double>(row_count(counts));
      double until = 0.0;
      std::size_t before = 0;  // rounded sums keep the step's number of tokens
      for (std::size_t d = 0; d < speeds.size(); ++d) {
        until += speeds[d] / sum;
        const auto end = static_cast<std::size_t>(std::llround(until * tokens));
        const std::size_t own = end - before, experts = std::max<std::size_t>(1, active_of[d]);
        for (std::size_t i = 0; i < experts; ++i)
          balanced.counts(step, layer, experts_of[d][i]) =
              static_cast<std::uint32_t>(own / experts + (i < own % experts ? 1 : 0));
        before = end;
      }
    }
  }
  return balanced;
}

}  // namespace gem
