#include "model/device_summary.hpp"

#include <algorithm>
#include <cmath>

#include "base/statistics.hpp"

namespace gem {
namespace {

// NVML's clocksThrottleReasons: software power cap, hardware slowdown, thermal (software, hardware), power brake.
constexpr std::uint64_t held_down = 0x4u | 0x8u | 0x20u | 0x40u | 0x80u;

// Logarithm of the geometric mean latency over the heavy points.
double mean_log_latency(const LatencyProfile& profile, std::size_t device) {
  std::int64_t most_tiles = 0;
  for (const LoadPoint& point : profile.points) most_tiles = std::max(most_tiles, point.tiles);
  std::vector<double> logs;
  for (std::size_t p = 0; p < profile.points.size(); ++p)
    if (2 * profile.points[p].tiles >= most_tiles) logs.push_back(std::log(profile.median_s(device, p)));
  return mean(logs);
}

double noise_of(const LatencyProfile& profile, std::size_t device) {
  std::vector<double> deviations;
  for (std::size_t p = 0; p < profile.points.size() && profile.samples_s.columns() > 0; ++p) {
    std::vector<double> distances;
    const double center = profile.median_s(device, p);
    for (float sample : profile.samples_s.row(device, p))
      if (!std::isnan(sample)) distances.push_back(std::abs(static_cast<double>(sample) - center) / center);
    if (!distances.empty()) deviations.push_back(median(distances));
  }
  return deviations.empty() ? 0.0 : median(deviations);
}

// Held down by power or heat; of a profile at the pace of serving, only where the clock is below that of serving.
bool is_throttled(const LatencyProfile& profile, std::size_t device, std::size_t point) {
  constexpr double least_difference = 0.03;  // clocks come in steps of 15 MHz and waver by a few
  if (device < profile.serving_clock_hz.size() && profile.sm_clock_hz.rows() > 0 &&
      std::isfinite(profile.serving_clock_hz[device]) && std::isfinite(profile.sm_clock_hz(device, point)))
    return profile.sm_clock_hz(device, point) < (1.0 - least_difference) * profile.serving_clock_hz[device];
  return profile.throttle_reasons.rows() > 0 && (profile.throttle_reasons(device, point) & held_down) != 0;
}

}  // namespace

std::vector<DeviceSummary> summarize(const LatencyProfile& profile) {
  std::vector<DeviceSummary> summaries(profile.device_count());
  std::vector<double> logs;
  for (std::size_t d = 0; d < summaries.size(); ++d) logs.push_back(mean_log_latency(profile, d));
  for (std::size_t d = 0; d < summaries.size(); ++d) {
    DeviceSummary& summary = summaries[d];
    summary.relative_speed = std::exp(*std::min_element(logs.begin(), logs.end()) - logs[d]);
    summary.noise = noise_of(profile, d);
    for (std::size_t p = 0; p < profile.points.size(); ++p) {
      if (profile.settled.rows() > 0 && profile.settled(d, p) == 0) ++summary.unsettled;
      if (is_throttled(profile, d, p)) ++summary.throttled;
    }
    if (d < profile.drift.size()) summary.drift = profile.drift[d];
  }
  return summaries;
}

}  // namespace gem
