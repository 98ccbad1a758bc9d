#include "verification/block_interval.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/random.hpp"

namespace gem {

std::size_t block_length(std::size_t steps) {
  return std::max<std::size_t>(1, static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(steps)))));
}

Interval bootstrap_blocks(std::span<const double> numerator, std::span<const double> denominator, std::size_t block,
                          std::uint64_t seed, std::size_t resamples, double confidence) {
  const std::size_t count = numerator.size();
  RandomStream random({seed, 0xb10cu});
  std::vector<double> ratios(resamples);
  for (double& ratio : ratios) {
    double top = 0.0, bottom = 0.0;
    for (std::size_t drawn = 0; drawn < count;) {
      const std::size_t first = random.below(count);
      for (std::size_t i = 0; i < block && drawn < count; ++i, ++drawn) {
        top += numerator[(first + i) % count];
        bottom += denominator[(first + i) % count];
      }
    }
    ratio = top / bottom;
  }
  const double tail = (1.0 - confidence) / 2.0;
  return {quantile(ratios, tail), quantile(ratios, 1.0 - tail)};
}

std::string block_interval_sentence(const VerificationReport& report, const MappingSummary& judged) {
  const bool by_layer = report.judged_by == JudgedBy::Layer;
  const Interval& steps = by_layer ? judged.layer_interval : judged.interval;
  const Interval& blocks = by_layer ? judged.layer_block_interval : judged.block_interval;
  const double width = steps.high - steps.low;
  if (judged.name == report.mappings.front().name || !(width > 0.0)) return {};
  return fmt::format(
      "Steps that follow each other share requests: over blocks of {} steps {}'s interval is {:.3f} to "
      "{:.3f}, {:.1f} times as wide.",
      block_length(report.mappings.front().compute_s.planes()), judged.name, blocks.low, blocks.high,
      (blocks.high - blocks.low) / width);
}

}  // namespace gem
