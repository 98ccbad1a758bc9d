#include "profile/sink.hpp"

#include <algorithm>
#include <limits>

namespace gem {

LatencyProfile assemble_profile(const LatencyProfile& plan, std::span<const ProfileRow> rows,
                                const SweepClosing& closing) {
  constexpr double unknown_s = std::numeric_limits<double>::quiet_NaN();
  LatencyProfile profile = plan;
  const std::size_t devices = plan.devices.size(), points = plan.points.size();
  std::size_t most_samples = 0;
  for (const ProfileRow& row : rows) most_samples = std::max(most_samples, row.samples_s.columns());
  profile.median_s = profile.p95_s = Matrix<double>(devices, points, unknown_s);
  profile.sm_clock_hz = profile.power_w = profile.temperature_c = profile.median_s;
  profile.samples_s = Cube<float>(devices, points, most_samples, std::numeric_limits<float>::quiet_NaN());
  profile.settled = Matrix<std::uint8_t>(devices, points);
  profile.throttle_reasons = Matrix<std::uint64_t>(devices, points);
  for (const ProfileRow& row : rows)
    for (std::size_t d = 0; d < devices; ++d) {
      profile.median_s(d, row.point) = row.median_s[d];
      profile.p95_s(d, row.point) = row.p95_s[d];
      profile.settled(d, row.point) = row.settled[d];
      profile.sm_clock_hz(d, row.point) = row.telemetry[d].sm_clock_hz;
      profile.power_w(d, row.point) = row.telemetry[d].power_w;
      profile.temperature_c(d, row.point) = row.telemetry[d].temperature_c;
      profile.throttle_reasons(d, row.point) = row.telemetry[d].throttle_reasons;
      std::ranges::copy(row.samples_s.row(d), profile.samples_s.row(d, row.point).begin());
    }
  profile.drift = closing.drift;
  profile.rule = closing.rule;
  return profile;
}

}  // namespace gem
