#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace gem {

/// Mean of the values; NaN if there are none.
double mean(std::span<const double> values);

/// Standard deviation (n - 1 in the denominator); 0 for fewer than two values.
double standard_deviation(std::span<const double> values);

/// Quantile by linear interpolation between order statistics (type 7); fraction in [0, 1]; NaN if there are none.
double quantile(std::span<const double> values, double fraction);

/// The middle value, or the mean of the two middle ones; NaN if there are none.
double median(std::span<const double> values);

/// Pearson correlation of two series of equal length; 0 where either is constant.
double correlation(std::span<const double> first, std::span<const double> second);

/// From `low` to `high`.
struct Interval {
  double low;
  double high;
};

/// Distribution-free interval of the median from order statistics (binomial, normal approximation) at the given
/// confidence; the whole range while there are too few values.
Interval median_interval(std::span<const double> values, double confidence = 0.95);

/// Percentile bootstrap interval of the ratio sum(numerator) / sum(denominator) over paired values, resampling pairs.
Interval bootstrap_ratio(std::span<const double> numerator, std::span<const double> denominator, std::uint64_t seed,
                         std::size_t resamples = 2000, double confidence = 0.95);

/// Point of Student's t distribution with these degrees of freedom, 1 or more, likewise (exact for 1 and 2, else
/// Abramowitz and Stegun 26.7.5: 0.7 % low with 3, less with more, at 0.975).
double student_quantile(double probability, std::size_t degrees);

/// What the mean of independent values is above at this confidence (Student's t); -infinity of fewer than two.
double mean_lower_bound(std::span<const double> values, double confidence);

/// Point z of the standard normal with the given probability below it (Acklam's rational approximation, |error| <
/// 1e-8).
double normal_quantile(double probability);

}  // namespace gem
