#pragma once

#include <cstddef>
#include <vector>

#include "model/latency_profile.hpp"
#include "model/latency_surface.hpp"

namespace gem {

/// Latency of each device's experts as a function of its load, in seconds, in the features that were chosen: what a
/// profile says.
class DeviceLatencies {
 public:
  DeviceLatencies(const LatencyProfile& profile, LoadFeatures features);

  std::size_t device_count() const { return features_ == LoadFeatures::Tokens ? curves_.size() : surfaces_.size(); }
  LoadFeatures features() const { return features_; }
  /// The kernel's tiles, and what experts add beside their tiles and their being active; one plain rule on the curve.
  const LoadRules& rules() const { return rules_; }

  /// Seconds of a device for a load that is spread evenly over its experts, its tiles those of a regime of the rules;
  /// only the features chosen are looked at.
  double even_s(std::size_t device, std::size_t regime, double tiles, double active_experts, double tokens) const;
  /// Seconds of a device for any load.
  double seconds(std::size_t device, const DeviceLoad& load) const;

 private:
  LoadFeatures features_;
  LoadRules rules_;
  std::vector<TileSurfaces> surfaces_;
  std::vector<LatencyCurve> curves_;
};

}  // namespace gem
