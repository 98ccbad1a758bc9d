#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "model/latency_profile.hpp"

namespace gem {

/// Which loads of a device its latency is a function of.
enum class LoadFeatures {
  TilesAndExperts,  ///< T(tiles, active_experts), the surface
  Tokens            ///< T(tokens), the one-dimensional curve of arXiv 2605.19945
};

/// Latency of one device over (tiles, active experts), bilinear between measured points: linear along tiles at each
/// measured number of active experts, then linear between the two neighbouring numbers. Beyond the most tiles measured
/// the slope over their last quarter continues, never falling; elsewhere the outermost segment's, never below zero. No
/// load costs no time.
class LatencySurface {
 public:
  /// From one device's row of a profile; `origin` names it in messages. DataError for no points, or a latency that is
  /// not a positive number.
  LatencySurface(std::span<const LoadPoint> points, std::span<const double> latency_s, const std::string& origin,
                 const LoadCosts& costs = {});

  /// Seconds of tiles that are spread evenly, as in the measured points; tiles >= active_experts >= 0.
  double seconds(double tiles, double active_experts) const;
  /// Seconds of any load.
  double seconds(const DeviceLoad& load) const;

 private:
  struct Curve {
    double active_experts;
    std::vector<double> tiles;  // ascending
    std::vector<double> latency_s;
  };
  LoadCosts costs_;
  std::vector<Curve> curves_;  // ascending in active_experts
};

/// Latency of one device over total tokens, as in the paper: the profile's points on the path of even spreading (one
/// tile an expert until all are active, then more tiles for all), piecewise linear, extrapolated likewise.
class LatencyCurve {
 public:
  LatencyCurve(std::span<const LoadPoint> points, std::span<const double> latency_s, const std::string& origin);

  double seconds(double tokens) const;

 private:
  std::vector<double> tokens_;
  std::vector<double> latency_s_;
};

/// Latency of one device whose kernel chooses its tile by the rows of the device: a surface for each tile.
class TileSurfaces {
 public:
  TileSurfaces(LoadRules rules, std::vector<LatencySurface> surfaces)
      : rules_(std::move(rules)), surfaces_(std::move(surfaces)) {}

  const LatencySurface& of(std::size_t regime) const { return surfaces_[regime]; }
  /// Seconds of any load, its tiles counted by the profile's load_rules().
  double seconds(const DeviceLoad& load) const { return surfaces_[rules_.regime_of(load.tokens)].seconds(load); }

 private:
  LoadRules rules_;
  std::vector<LatencySurface> surfaces_;  // [regime]
};

/// One surface a device, of the profile's own points: of a kernel with several tiles, that of the one which most loads
/// meet.
std::vector<LatencySurface> surfaces_of(const LatencyProfile& profile);

/// All surfaces of each device; one each without regimes.
std::vector<TileSurfaces> tile_surfaces_of(const LatencyProfile& profile);

/// One curve a device; of a kernel with several tiles, by each one's points within its rows.
std::vector<LatencyCurve> curves_of(const LatencyProfile& profile);

}  // namespace gem
