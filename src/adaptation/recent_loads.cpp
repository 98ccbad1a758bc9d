#include "adaptation/recent_loads.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "adaptation/regimes.hpp"
#include "base/statistics.hpp"

namespace gem {
namespace {

constexpr std::size_t judged_steps = 32, block_steps = 8, blocks = judged_steps / block_steps;

// Of an expert that got nothing: it may get something.
constexpr double least_share = 1e-4;

// No expert becomes more than so many times as busy: of few tokens, shares say little.
constexpr double most_times = 4.0;

// Logarithm of the likelihood of the last steps, [block], if experts had the shares of the `length` steps that end with
// them.
std::vector<double> likelihoods(const LoadTrace& trace, std::size_t end, std::size_t length) {
  Matrix<double> logarithms = load_shares(steps_of(trace, end - length, length - judged_steps));
  for (double& share : logarithms.values()) share = std::log(share + least_share);
  std::vector<double> sums(blocks, 0.0);
  for (std::size_t t = 0; t < judged_steps; ++t)
    for (std::size_t layer = 0; layer < logarithms.rows(); ++layer)
      for (std::size_t e = 0; e < logarithms.columns(); ++e)
        sums[t / block_steps] += trace.counts(end - judged_steps + t, layer, e) * logarithms(layer, e);
  return sums;
}

// The line through experts' shares over time, by least squares over windows: what it says of the present is known by
// all steps, where the last ones alone scatter and are late by half their number.
class Trend {
 public:
  Trend(const LoadTrace& trace, std::size_t window) : mean_(trace.layer_count(), trace.expert_count()), slope_(mean_) {
    const std::vector<Part> parts = parts_of(trace, window);
    const auto steps = static_cast<double>(trace.step_count());
    middle_ = steps / 2.0;
    double spread = 0.0;
    for (const Part& part : parts) spread += part.steps / steps * (part.middle - middle_) * (part.middle - middle_);
    for (const Part& part : parts)
      for (std::size_t i = 0; i < mean_.values().size(); ++i) {
        const double weighted = part.steps / steps * part.shares.values()[i];
        mean_.values()[i] += weighted;
        if (spread > 0.0) slope_.values()[i] += weighted * (part.middle - middle_) / spread;
      }
  }

  /// Of a layer's tokens, at a time in steps from the trace's beginning.
  double share(std::size_t layer, std::size_t expert, double time) const {
    return std::max(0.0, mean_(layer, expert) + slope_(layer, expert) * (time - middle_));
  }

 private:
  struct Part {
    double middle;  // in steps from the beginning
    double steps;
    Matrix<double> shares;
  };

  // Windows from the end on; what is left at the beginning is one of its own if it is half as long.
  static std::vector<Part> parts_of(const LoadTrace& trace, std::size_t window) {
    std::vector<Part> parts;
    for (std::size_t last = trace.step_count(); last > 0;) {
      const std::size_t first = last < window + (window + 1) / 2 ? 0 : last - window;
      parts.push_back({static_cast<double>(first + last) / 2.0, static_cast<double>(last - first),
                       load_shares(steps_of(trace, first, last - first))});
      last = first;
    }
    return parts;
  }

  Matrix<double> mean_, slope_;  // [layer, expert] at the middle, and a step
  double middle_ = 0.0;
};

}  // namespace

std::size_t telling_steps(const LoadTrace& trace, std::size_t end, std::size_t least, std::size_t most) {
  if (most < 2 * least || least <= judged_steps) return most;
  std::vector<double> best = likelihoods(trace, end, least), worse(blocks);
  for (std::size_t length = least; length < most;) {
    const std::size_t longer = std::min(2 * length, most);
    const std::vector<double> own = likelihoods(trace, end, longer);
    for (std::size_t b = 0; b < blocks; ++b) worse[b] = best[b] - own[b];
    if (mean_lower_bound(worse, 0.99) > 0.0) return length;
    if (mean(worse) < 0.0) best = own;
    length = longer;
  }
  return most;
}

LoadTrace carried_over(const LoadTrace& trace, std::size_t end, std::size_t count, std::size_t window) {
  LoadTrace carried = steps_of(trace, end - count, count);
  const Trend trend(carried, window);
  const auto then = static_cast<double>(count + window);
  for (std::size_t t = 0; t < count; ++t)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t e = 0; e < trace.expert_count(); ++e) {
        const double times = (trend.share(layer, e, then) + least_share) /
                             (trend.share(layer, e, static_cast<double>(t) + 0.5) + least_share);
        std::uint32_t& tokens = carried.counts(t, layer, e);
        tokens = static_cast<std::uint32_t>(std::lround(tokens * std::min(times, most_times)));
      }
  return carried;
}

}  // namespace gem
