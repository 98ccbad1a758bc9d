#include "model/latency_surface.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

void check_points(std::span<const LoadPoint> points, std::span<const double> latency_s, const std::string& origin) {
  if (points.empty()) throw DataError(origin + ": the profile has no points; measure again with gem-profile");
  for (std::size_t i = 0; i < points.size(); ++i)
    if (!(latency_s[i] > 0.0) || !std::isfinite(latency_s[i]))
      throw DataError(
          fmt::format("{}: latency at {} tiles, {} active experts is {:g} s, not a positive number; measure again "
                      "with gem-profile",
                      origin, points[i].tiles, points[i].active_experts, latency_s[i]));
}

// Piecewise linear through (x, y), x ascending; a single point is a constant. Below the first point its segment
// continues. Beyond the last, whose own segment may be short and sloped by noise, the line from the last point that is
// at most three quarters as far does, and never falls.
double interpolate(const std::vector<double>& x, const std::vector<double>& y, double at) {
  if (x.size() == 1) return y[0];
  const bool beyond = at > x.back();
  const auto upper = std::upper_bound(x.begin() + 1, x.end() - 1, beyond ? 0.75 * x.back() : at);
  const auto left = static_cast<std::size_t>(upper - x.begin()) - 1;
  const std::size_t right = beyond ? x.size() - 1 : left + 1;
  const double slope = (y[right] - y[left]) / (x[right] - x[left]);
  return beyond ? y[right] + std::max(0.0, slope) * (at - x[right]) : y[left] + slope * (at - x[left]);
}

std::string device_origin(const LatencyProfile& profile, std::size_t device) {
  return fmt::format("device {} ({})", device, profile.devices[device].name);
}

}  // namespace

LatencySurface::LatencySurface(std::span<const LoadPoint> points, std::span<const double> latency_s,
                               const std::string& origin, const LoadCosts& costs)
    : costs_(costs) {
  check_points(points, latency_s, origin);
  std::map<std::int64_t, std::map<std::int64_t, double>> by_experts;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points[i].active_experts > 0) by_experts[points[i].active_experts][points[i].tiles] = latency_s[i];
  if (by_experts.empty()) throw DataError(origin + ": no point of the profile has an active expert");
  for (const auto& [active_experts, by_tiles] : by_experts) {
    Curve curve{static_cast<double>(active_experts), {}, {}};
    for (const auto& [tiles, latency] : by_tiles) {
      curve.tiles.push_back(static_cast<double>(tiles));
      curve.latency_s.push_back(latency);
    }
    curves_.push_back(std::move(curve));
  }
}

double LatencySurface::seconds(const DeviceLoad& load) const {
  if (load.tiles == 0) return 0.0;
  const auto tiles = static_cast<double>(load.tiles), active_experts = static_cast<double>(load.active_experts);
  return std::max(0.0, seconds(tiles, active_experts) - costs_.even_surplus_s(tiles, active_experts) + load.added_s);
}

double LatencySurface::seconds(double tiles, double active_experts) const {
  if (tiles <= 0.0) return 0.0;
  const auto along = [&](const Curve& curve) { return interpolate(curve.tiles, curve.latency_s, tiles); };
  if (curves_.size() == 1) return std::max(0.0, along(curves_[0]));
  const auto upper = std::upper_bound(curves_.begin() + 1, curves_.end() - 1, active_experts,
                                      [](double at, const Curve& curve) { return at < curve.active_experts; });
  const Curve& right = *upper;
  const Curve& left = *(upper - 1);
  const double weight = (active_experts - left.active_experts) / (right.active_experts - left.active_experts);
  const double at_left = along(left);
  return std::max(0.0, at_left + weight * (along(right) - at_left));
}

LatencyCurve::LatencyCurve(std::span<const LoadPoint> points, std::span<const double> latency_s,
                           const std::string& origin) {
  check_points(points, latency_s, origin);
  std::int64_t max_active = 0;
  for (const LoadPoint& point : points) max_active = std::max(max_active, point.active_experts);
  std::map<std::int64_t, double> by_tokens;
  for (std::size_t i = 0; i < points.size(); ++i)
    if (points[i].active_experts == std::min(points[i].tiles, max_active)) by_tokens[points[i].tokens] = latency_s[i];
  if (by_tokens.empty())
    throw DataError(origin +
                    ": no point of the profile has all experts active, so there is no curve over tokens; use the "
                    "surface instead");
  for (const auto& [tokens, latency] : by_tokens) {
    tokens_.push_back(static_cast<double>(tokens));
    latency_s_.push_back(latency);
  }
}

double LatencyCurve::seconds(double tokens) const {
  if (tokens <= 0.0) return 0.0;
  return std::max(0.0, interpolate(tokens_, latency_s_, tokens));
}

std::vector<LatencySurface> surfaces_of(const LatencyProfile& profile) {
  std::vector<LatencySurface> surfaces;
  for (std::size_t d = 0; d < profile.device_count(); ++d)
    surfaces.emplace_back(profile.points, profile.median_s.row(d), device_origin(profile, d), profile.rule);
  return surfaces;
}

std::vector<TileSurfaces> tile_surfaces_of(const LatencyProfile& profile) {
  std::vector<TileSurfaces> surfaces;
  if (profile.regimes.empty()) {
    for (LatencySurface& surface : surfaces_of(profile))
      surfaces.emplace_back(profile.load_rules(), std::vector<LatencySurface>{std::move(surface)});
    return surfaces;
  }
  for (std::size_t d = 0; d < profile.device_count(); ++d) {
    std::vector<LatencySurface> of_device;
    std::size_t first = 0;
    for (const TileRegime& regime : profile.regimes) {
      of_device.emplace_back(std::span(profile.regime_points).subspan(first, regime.point_count),
                             profile.regime_median_s.row(d).subspan(first, regime.point_count),
                             fmt::format("{}, tiles of {}", device_origin(profile, d), regime.tile_tokens));
      first += regime.point_count;
    }
    surfaces.emplace_back(profile.load_rules(), std::move(of_device));
  }
  return surfaces;
}

std::vector<LatencyCurve> curves_of(const LatencyProfile& profile) {
  std::vector<LatencyCurve> curves;
  if (!profile.regimes.empty()) {
    for (std::size_t d = 0; d < profile.device_count(); ++d)
      curves.emplace_back(profile.regime_points, profile.regime_median_s.row(d), device_origin(profile, d));
    return curves;
  }
  for (std::size_t d = 0; d < profile.device_count(); ++d)
    curves.emplace_back(profile.points, profile.median_s.row(d), device_origin(profile, d));
  return curves;
}

}  // namespace gem
