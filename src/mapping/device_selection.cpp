#include "mapping/device_selection.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"

namespace gem {

LatencyProfile first_devices(const LatencyProfile& profile, std::size_t count) {
  if (count == 0 || count > profile.device_count())
    throw UsageError(fmt::format("{} devices were asked for, but the profile has {}", count, profile.device_count()));
  LatencyProfile part = profile;
  part.devices.resize(count);
  part.median_s = Matrix<double>(count, profile.points.size());
  for (std::size_t d = 0; d < count; ++d)
    std::copy(profile.median_s.row(d).begin(), profile.median_s.row(d).end(), part.median_s.row(d).begin());
  return part;
}

LatencyProfile equal_devices(const LatencyProfile& profile) {
  LatencyProfile equal = profile;
  const std::size_t count = profile.device_count();
  for (std::size_t p = 0; p < profile.points.size(); ++p) {
    double sum = 0.0;
    for (std::size_t d = 0; d < count; ++d) sum += profile.median_s(d, p);
    for (std::size_t d = 0; d < count; ++d) equal.median_s(d, p) = sum / static_cast<double>(count);
  }
  return equal;
}

}  // namespace gem
