#pragma once

#include <fmt/core.h>

#include <vector>

#include "model/latency_profile.hpp"

namespace gem {

inline Matrix<double> scaled(const Matrix<double>& first, const std::vector<double>& slowdowns, bool seconds) {
  Matrix<double> all(slowdowns.size(), first.columns());
  for (std::size_t d = 0; d < slowdowns.size(); ++d)
    for (std::size_t p = 0; p < first.columns(); ++p) all(d, p) = first(0, p) * (seconds ? slowdowns[d] : 1.0);
  return all;
}

/// The first device of a profile as several that take proportionally more time.
inline LatencyProfile emulated(const LatencyProfile& one, const std::vector<double>& slowdowns) {
  LatencyProfile all = one;
  const std::size_t count = slowdowns.size(), points = one.points.size();
  all.devices.assign(count, one.devices.front());
  for (std::size_t d = 0; d < count; ++d) {
    all.devices[d].rank = static_cast<std::int32_t>(d);
    all.devices[d].emulated_slowdown = slowdowns[d];
    if (slowdowns[d] > 1.0) all.devices[d].name += fmt::format(", emulated x{:.4g}", slowdowns[d]);
  }
  all.median_s = scaled(one.median_s, slowdowns, true);
  all.p95_s = scaled(one.p95_s, slowdowns, true);
  if (!one.regimes.empty()) all.regime_median_s = scaled(one.regime_median_s, slowdowns, true);
  all.sm_clock_hz = scaled(one.sm_clock_hz, slowdowns, false);
  all.power_w = scaled(one.power_w, slowdowns, false);
  all.temperature_c = scaled(one.temperature_c, slowdowns, false);
  all.samples_s = Cube<float>(count, points, 0);
  all.settled = Matrix<std::uint8_t>(count, points, 1);
  all.throttle_reasons = Matrix<std::uint64_t>(count, points);
  all.drift.assign(count, one.drift.front());
  if (!one.topology.empty()) all.topology.node_of.assign(count, one.topology.node_of.front());
  all.exchange = {};  // of one device there is none
  return all;
}

}  // namespace gem
