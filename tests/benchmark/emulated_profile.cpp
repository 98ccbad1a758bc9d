// emulated_profile IN.h5 OUT.h5 1.0,1.09,1.19,1.28: the devices of a profile, or its only one as several, that take
// proportionally more time, as --slowdown emulates it; where ranks share a GPU by turns, measuring it once a rank would
// tell nothing more.
#include <fmt/core.h>
#include <cstdio>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/profile_file.hpp"
#include "files/provenance.hpp"

namespace gem {
namespace {

// The device of `one` that device d is made from.
std::size_t origin(const LatencyProfile& one, std::size_t d) {
  return one.device_count() == 1 ? 0 : d;
}

Matrix<double> scaled(const LatencyProfile& one, const Matrix<double>& values, const std::vector<double>& factors) {
  Matrix<double> all(factors.size(), values.columns());
  for (std::size_t d = 0; d < factors.size(); ++d)
    for (std::size_t p = 0; p < values.columns(); ++p) all(d, p) = values(origin(one, d), p) * factors[d];
  return all;
}

LatencyProfile emulated(const LatencyProfile& one, const std::vector<double>& slowdowns) {
  const std::size_t count = slowdowns.size(), points = one.points.size();
  if (one.device_count() != 1 && one.device_count() != count)
    throw UsageError(fmt::format("{} slowdowns for {} devices", count, one.device_count()));
  LatencyProfile all = one;
  const std::vector<double> as_is(count, 1.0);
  all.devices.clear();
  all.drift.clear();
  for (std::size_t d = 0; d < count; ++d) {
    all.devices.push_back(one.devices[origin(one, d)]);
    all.drift.push_back(one.drift[origin(one, d)]);
    all.devices[d].rank = static_cast<std::int32_t>(d);
    all.devices[d].emulated_slowdown = slowdowns[d];
    if (slowdowns[d] > 1.0) all.devices[d].name += fmt::format(", emulated x{:.4g}", slowdowns[d]);
  }
  all.median_s = scaled(one, one.median_s, slowdowns);
  all.p95_s = scaled(one, one.p95_s, slowdowns);
  if (!one.regimes.empty()) all.regime_median_s = scaled(one, one.regime_median_s, slowdowns);
  all.sm_clock_hz = scaled(one, one.sm_clock_hz, as_is);
  all.power_w = scaled(one, one.power_w, as_is);
  all.temperature_c = scaled(one, one.temperature_c, as_is);
  all.samples_s = Cube<float>(count, points, 0);
  all.settled = Matrix<std::uint8_t>(count, points, 1);
  all.throttle_reasons = Matrix<std::uint64_t>(count, points);
  if (!one.serving_clock_hz.empty()) {
    all.serving_clock_hz.clear();
    for (std::size_t d = 0; d < count; ++d) all.serving_clock_hz.push_back(one.serving_clock_hz[origin(one, d)]);
  }
  return all;
}

}  // namespace
}  // namespace gem

int main(int argc, char** argv) try {
  if (argc != 4) throw gem::UsageError("emulated_profile IN.h5 OUT.h5 SLOWDOWNS");
  const gem::LatencyProfile one = gem::read_profile(argv[1]);
  gem::write_profile(argv[2], gem::emulated(one, gem::parse_number_list(argv[3], "SLOWDOWNS")),
                     gem::provenance_now("emulated_profile", one.model, 1));
  return 0;
} catch (const gem::Error& error) {
  std::fprintf(stderr, "emulated_profile: %s\n", error.what());
  return static_cast<int>(error.code());
}
