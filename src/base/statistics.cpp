#include "base/statistics.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <vector>

#include "base/random.hpp"

namespace gem {
namespace {

double sorted_quantile(const std::vector<double>& sorted, double fraction) {
  const double position = fraction * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(position);
  const std::size_t above = std::min(below + 1, sorted.size() - 1);
  const double weight = position - static_cast<double>(below);
  return sorted[below] + weight * (sorted[above] - sorted[below]);
}

std::vector<double> sorted_copy(std::span<const double> values) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end());
  return sorted;
}

}  // namespace

double mean(std::span<const double> values) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double standard_deviation(std::span<const double> values) {
  if (values.size() < 2) return 0.0;
  const double center = mean(values);
  double sum = 0.0;
  for (double value : values) sum += (value - center) * (value - center);
  return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double quantile(std::span<const double> values, double fraction) {
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  return sorted_quantile(sorted_copy(values), fraction);
}

double median(std::span<const double> values) {
  return quantile(values, 0.5);
}

double correlation(std::span<const double> first, std::span<const double> second) {
  const double mean_first = mean(first);
  const double mean_second = mean(second);
  double covariance = 0.0, variance_first = 0.0, variance_second = 0.0;
  for (std::size_t i = 0; i < first.size(); ++i) {
    const double a = first[i] - mean_first;
    const double b = second[i] - mean_second;
    covariance += a * b;
    variance_first += a * a;
    variance_second += b * b;
  }
  if (variance_first <= 0.0 || variance_second <= 0.0) return 0.0;
  return covariance / std::sqrt(variance_first * variance_second);
}

Interval median_interval(std::span<const double> values, double confidence) {
  if (values.empty()) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan};
  }
  const std::vector<double> sorted = sorted_copy(values);
  const auto count = static_cast<double>(sorted.size());
  const double half_width = normal_quantile(0.5 + confidence / 2.0) * std::sqrt(count) / 2.0;
  // Order statistics j and k (1-based) bracket the median: j = n/2 - z sqrt(n)/2, k = n/2 + 1 + z sqrt(n)/2.
  const double low = std::floor(count / 2.0 - half_width) - 1.0;
  const double high = std::ceil(count / 2.0 + half_width);
  return {sorted[static_cast<std::size_t>(std::max(0.0, low))],
          sorted[static_cast<std::size_t>(std::min(count - 1.0, high))]};
}

Interval bootstrap_ratio(std::span<const double> numerator, std::span<const double> denominator, std::uint64_t seed,
                         std::size_t resamples, double confidence) {
  const std::size_t count = numerator.size();
  RandomStream random({seed, 0xb007u});
  std::vector<double> ratios(resamples);
  for (double& ratio : ratios) {
    double top = 0.0, bottom = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t pick = random.below(count);
      top += numerator[pick];
      bottom += denominator[pick];
    }
    ratio = top / bottom;
  }
  std::sort(ratios.begin(), ratios.end());
  const double tail = (1.0 - confidence) / 2.0;
  return {sorted_quantile(ratios, tail), sorted_quantile(ratios, 1.0 - tail)};
}

double student_quantile(double p, std::size_t degrees) {
  if (degrees == 1) return std::tan(std::numbers::pi * (p - 0.5));
  if (degrees == 2) return (2.0 * p - 1.0) * std::sqrt(2.0 / (4.0 * p * (1.0 - p)));
  const double z = normal_quantile(p), n = static_cast<double>(degrees), s = z * z;
  return z *
         (1.0 + (s + 1.0) / (4.0 * n) + (5.0 * s * s + 16.0 * s + 3.0) / (96.0 * n * n) +
          (3.0 * s * s * s + 19.0 * s * s + 17.0 * s - 15.0) / (384.0 * n * n * n) +
          (79.0 * s * s * s * s + 776.0 * s * s * s + 1482.0 * s * s - 1920.0 * s - 945.0) / (92160.0 * n * n * n * n));
}

double normal_quantile(double p) {
  if (p <= 0.0) return -std::numeric_limits<double>::infinity();
  if (p >= 1.0) return std::numeric_limits<double>::infinity();
  constexpr double a[] = {-3.969683028665376e+01, 2.209460984245205e+02,  -2.759285104469687e+02,
                          1.383577518672690e+02,  -3.066479806614716e+01, 2.506628277459239e+00};
  constexpr double b[] = {-5.447609879822406e+01, 1.615858368580409e+02, -1.556989798598866e+02, 6.680131188771972e+01,
                          -1.328068155288572e+01};
  constexpr double c[] = {-7.784894002430293e-03, -3.223964580411365e-01, -2.400758277161838e+00,
                          -2.549732539343734e+00, 4.374664141464968e+00,  2.938163982698783e+00};
  constexpr double d[] = {7.784695709041462e-03, 3.224671290700398e-01, 2.445134137142996e+00, 3.754408661907416e+00};
  const auto tail = [&](double q) {
    return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
           ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1.0);
  };
  if (p < 0.02425) return tail(std::sqrt(-2.0 * std::log(p)));
  if (p > 1.0 - 0.02425) return -tail(std::sqrt(-2.0 * std::log(1.0 - p)));
  const double q = p - 0.5;
  const double r = q * q;
  return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
         (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1.0);
}

double mean_lower_bound(std::span<const double> values, double confidence) {
  if (values.size() < 2) return -INFINITY;
  const double t = student_quantile(confidence, values.size() - 1);
  return mean(values) - t * standard_deviation(values) / std::sqrt(static_cast<double>(values.size()));
}

}  // namespace gem
