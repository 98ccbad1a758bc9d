#include "profile/stopping.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"

namespace gem {

void describe(OptionList& options, StoppingRule& rule) {
  options.group("When a point is done");
  options
      .add("confidence-width", rule.confidence_width, "F",
           "relative half-width of the median's 95 % interval that ends a point")
      .above(0, 100);
  options.add("min-samples", rule.min_samples, "N", "samples of a point at least").range(2, 1e6);
  options.add("max-samples", rule.max_samples, "N", "samples of a point at most").range(2, 1e6);
  options.add("max-point-time", rule.max_time_s, "SECONDS", "measured time of a point at most").above(0, 86400);
}

void check_stopping_rule(const StoppingRule& rule) {
  check_options(rule);
  if (rule.max_samples < rule.min_samples)
    throw option_error(option_name(&StoppingRule::max_samples), "{}: {} is below {} {}", rule.max_samples,
                       option_name(&StoppingRule::min_samples), rule.min_samples);
}

double relative_half_width(std::span<const double> samples_s) {
  if (samples_s.size() < 2) return std::numeric_limits<double>::infinity();
  const Interval interval = median_interval(samples_s);
  return (interval.high - interval.low) / 2.0 / median(samples_s);
}

StoppingDecision decide(const StoppingRule& rule, std::span<const double> samples_s, double spent_s) {
  const bool out_of_time = spent_s >= rule.max_time_s && samples_s.size() >= 2;
  if (samples_s.size() < rule.min_samples && !out_of_time) return StoppingDecision::Continue;
  if (relative_half_width(samples_s) <= rule.confidence_width) return StoppingDecision::Settled;
  return out_of_time || samples_s.size() >= rule.max_samples ? StoppingDecision::Unsettled : StoppingDecision::Continue;
}

std::size_t next_round(const StoppingRule& rule, std::size_t sample_count, double expected_s) {
  // Half as many again, so that few rounds of agreement are needed and few samples are wasted.
  const std::size_t wanted = sample_count < rule.min_samples
                                 ? rule.min_samples - sample_count
                                 : std::min(rule.max_samples - sample_count, sample_count / 2);
  const double time_left_s = rule.max_time_s - static_cast<double>(sample_count) * expected_s;
  const double in_time = std::ceil(time_left_s / expected_s);
  return std::max<std::size_t>(
      1, in_time < static_cast<double>(wanted) ? static_cast<std::size_t>(std::max(0.0, in_time)) : wanted);
}

}  // namespace gem
