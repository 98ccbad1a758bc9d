#pragma once

#include <fmt/core.h>

#include <vector>

#include "base/error.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// The device of a profile that device `d` of an emulated one is made from.
inline std::size_t origin(const LatencyProfile& profile, std::size_t d) {
  return profile.device_count() == 1 ? 0 : d;
}

inline Matrix<double> scaled(const LatencyProfile& profile, const Matrix<double>& values,
                             const std::vector<double>& factors) {
  Matrix<double> all(factors.size(), values.columns());
  for (std::size_t d = 0; d < factors.size(); ++d)
    for (std::size_t p = 0; p < values.columns(); ++p) all(d, p) = values(origin(profile, d), p) * factors[d];
  return all;
}

/// A value of each device.
template <class T>
std::vector<T> of_devices(const LatencyProfile& profile, const std::vector<T>& values, std::size_t count) {
  std::vector<T> all;
  for (std::size_t d = 0; d < count && !values.empty(); ++d) all.push_back(values[origin(profile, d)]);
  return all;
}

/// The devices of a profile, or its only one as several, that take proportionally more time.
inline LatencyProfile emulated(const LatencyProfile& profile, const std::vector<double>& slowdowns) {
  const std::size_t count = slowdowns.size(), points = profile.points.size();
  if (profile.device_count() != 1 && profile.device_count() != count)
    throw UsageError(fmt::format("{} slowdowns for {} devices; give one for each", count, profile.device_count()));
  LatencyProfile all = profile;
  const std::vector<double> as_is(count, 1.0);
  all.devices = of_devices(profile, profile.devices, count);
  for (std::size_t d = 0; d < count; ++d) {
    all.devices[d].rank = static_cast<std::int32_t>(d);
    all.devices[d].emulated_slowdown = slowdowns[d];
    if (slowdowns[d] > 1.0) all.devices[d].name += fmt::format(", emulated x{:.4g}", slowdowns[d]);
  }
  all.median_s = scaled(profile, profile.median_s, slowdowns);
  all.p95_s = scaled(profile, profile.p95_s, slowdowns);
  if (!profile.regimes.empty()) all.regime_median_s = scaled(profile, profile.regime_median_s, slowdowns);
  if (!profile.shared_tokens.empty()) all.shared_s = scaled(profile, profile.shared_s, slowdowns);
  all.sm_clock_hz = scaled(profile, profile.sm_clock_hz, as_is);
  all.power_w = scaled(profile, profile.power_w, as_is);
  all.temperature_c = scaled(profile, profile.temperature_c, as_is);
  all.samples_s = Cube<float>(count, points, 0);
  all.settled = Matrix<std::uint8_t>(count, points, 1);
  all.throttle_reasons = Matrix<std::uint64_t>(count, points);
  all.drift = of_devices(profile, profile.drift, count);
  all.serving_clock_hz = of_devices(profile, profile.serving_clock_hz, count);
  all.topology.node_of = of_devices(profile, profile.topology.node_of, count);
  if (profile.device_count() == 1) all.exchange = {};  // of one device there is none
  return all;
}

}  // namespace gem
