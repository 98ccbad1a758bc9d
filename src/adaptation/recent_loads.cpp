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

LoadTrace carried_over(const LoadTrace& trace, std::size_t end, std::size_t count, std::size_t present) {
  LoadTrace carried = steps_of(trace, end - count, count);
  const Matrix<double> now = load_shares(steps_of(trace, end - std::min(present, count), std::min(present, count)));
  for (std::size_t last = count; last > present;) {
    last -= present;
    const std::size_t first = last > present ? last - present : 0;
    const Matrix<double> then = load_shares(steps_of(trace, end - count + first, last - first));
    for (std::size_t t = first; t < last; ++t)
      for (std::size_t layer = 0; layer < now.rows(); ++layer)
        for (std::size_t e = 0; e < now.columns(); ++e) {
          const double times = (now(layer, e) + least_share) / (then(layer, e) + least_share);
          std::uint32_t& tokens = carried.counts(t, layer, e);
          tokens = static_cast<std::uint32_t>(std::lround(tokens * std::min(times, most_times)));
        }
  }
  return carried;
}

}  // namespace gem
