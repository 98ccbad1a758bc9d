#pragma once

#include <cstddef>
#include <span>

#include "base/option.hpp"

namespace gem {

/// When a point has been measured often enough, as a value.
struct StoppingRule {
  double confidence_width = 0.01;  ///< relative half-width of the median's 95 % interval that is asked for
  std::size_t min_samples = 10;
  std::size_t max_samples = 200;
  double max_time_s = 1.0;  ///< spent on a point
};

void describe(OptionList& options, StoppingRule& rule);

/// OptionError for bounds that contradict each other.
void check_stopping_rule(const StoppingRule& rule);

enum class StoppingDecision {
  Continue,
  Settled,   ///< the median is known well enough
  Unsettled  ///< a bound on samples or time was hit before
};

/// Half the width of the median's 95 % interval over the median; infinite for fewer than two samples.
double relative_half_width(std::span<const double> samples_s);

/// What the rule says about one device's samples so far, after `spent_s` seconds. Once max_time_s is used up, fewer
/// than min_samples will do (two at least): big loads on slow devices.
StoppingDecision decide(const StoppingRule& rule, std::span<const double> samples_s, double spent_s);

/// How many samples to take before deciding again, at least one, where a sample takes about expected_s.
std::size_t next_round(const StoppingRule& rule, std::size_t sample_count, double expected_s);

}  // namespace gem
