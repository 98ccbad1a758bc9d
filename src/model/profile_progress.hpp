#pragma once

#include <cstddef>
#include <string>

#include "model/latency_profile.hpp"

namespace gem {

// A profile that is being measured is a whole one with NaN where nothing was measured yet.

/// The plan with room for its results, all unknown: NaN latencies, no samples.
LatencyProfile unmeasured(const LatencyProfile& plan);

/// What is measured of a profile: its points, and of a kernel that has other tiles too, the points of these.
std::size_t load_count(const LatencyProfile& profile);

/// Where a load beyond the points stands among the regimes' points; the profile's own are left out there.
std::size_t regime_point_of(const LatencyProfile& profile, std::size_t load);

/// Whether every device was measured at the load of that index.
bool is_measured(const LatencyProfile& profile, std::size_t load);

/// How many loads of a profile were measured.
std::size_t measured_count(const LatencyProfile& profile);

/// Puts what was measured at the points into the regime that has them, too.
void copy_points_to_regime(LatencyProfile& profile);

/// In what a profile was planned otherwise than `plan`, as a clause: "tile_tokens 16 instead of 128"; empty if in
/// nothing. Where `plan` has no devices, theirs are not compared. A device without a number of its own is told by its
/// host, unless it is simulated.
std::string plan_difference(const LatencyProfile& found, const LatencyProfile& plan);

/// Where a profile goes while it is measured. Called on rank 0 alone; what cannot be written is a SystemError.
class ProfileSink {
 public:
  virtual ~ProfileSink() = default;

  /// Before the first measurement. Returns the profile to go on with: the unmeasured plan, or what an earlier run of
  /// the same plan left behind. DataError if what is there belongs to another plan.
  virtual LatencyProfile begin(const LatencyProfile& plan) = 0;
  /// After every point. It is saved now and then, so that a kill takes little.
  virtual void grow(const LatencyProfile& profile) = 0;
  /// The job ends early: saves all that is there.
  virtual void stop(const LatencyProfile& profile) = 0;
  /// All is measured. The file gets its final name here.
  virtual void finish(const LatencyProfile& profile) = 0;
};

}  // namespace gem
