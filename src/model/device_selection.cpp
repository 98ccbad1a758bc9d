#include "model/device_selection.hpp"

#include <fmt/core.h>

#include "base/error.hpp"
#include "model/latency_profile_fields.hpp"

namespace gem {

LatencyProfile first_devices(const LatencyProfile& profile, std::size_t count) {
  if (count == 0 || count > profile.device_count())
    throw UsageError(fmt::format("{} devices were asked for, but the profile has {}", count, profile.device_count()));
  LatencyProfile part = profile;
  keep_first(part, "device", count);
  if (count < profile.device_count()) part.exchange_law.clear();  // it is of all devices together
  return part;
}

LatencyProfile equal_devices(const LatencyProfile& profile) {
  LatencyProfile equal = profile;
  for (Matrix<double>* median_s : {&equal.median_s, &equal.regime_median_s, &equal.shared_s})
    for (std::size_t p = 0; p < median_s->columns(); ++p) {
      double sum = 0.0;
      for (std::size_t d = 0; d < median_s->rows(); ++d) sum += (*median_s)(d, p);
      for (std::size_t d = 0; d < median_s->rows(); ++d)
        (*median_s)(d, p) = sum / static_cast<double>(median_s->rows());
    }
  return equal;
}

LatencyProfile slowed_down(const LatencyProfile& profile, const std::vector<double>& slowdowns) {
  LatencyProfile slowed = profile;
  for (Matrix<double>* median_s : {&slowed.median_s, &slowed.regime_median_s, &slowed.shared_s})
    for (std::size_t device = 0; device < median_s->rows(); ++device)
      for (double& seconds : median_s->row(device)) seconds *= slowdowns[device];
  return slowed;
}

}  // namespace gem
