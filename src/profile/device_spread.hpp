#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "base/json_record.hpp"
#include "base/statistics.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// How fast devices were, one stretch of time after the other, on loads that all of them had at the same moments.
struct SpeedBlocks {
  Matrix<double> log_time;  ///< [block, device] logarithm of the time relative to the devices' mean, mean over loads
  std::vector<std::size_t> repeat;  ///< [block] number of the repetition that it is of: 0, 1, ... in order
};

/// The heavy points of profiles of the same devices and points, each profile a repetition, cut into blocks in measuring
/// order. DataError naming the profile (by `names`) that isn't of the same sweep as the first.
SpeedBlocks speed_blocks(std::span<const LatencyProfile> profiles, std::span<const std::string> names);

/// [device, load] seconds of passes over the same loads, pass after pass: each half of the passes is a repetition. At
/// least two passes.
SpeedBlocks speed_blocks(const Matrix<double>& seconds, std::size_t loads_per_pass);

/// Whether devices differ in speed, by how much, and what that is worth.
struct DeviceSpread {
  std::vector<double> behind;        ///< [device] time above the fastest device's, relative
  std::vector<double> behind_first;  ///< [device] the same in the first repetition
  std::vector<double> behind_again;  ///< [device] in the last one; empty where there is one alone
  double spread = 0.0;               ///< of the slowest device
  Interval interval{0.0, 0.0};       ///< 95 %, bootstrap over blocks
  /// Spread that equal devices show in one of twenty such measurements: 95th percentile when each block's times are
  /// dealt to the devices at random.
  double noise_spread = 0.0;
  /// Correlation of the devices' times in the first and the last repetition; NaN where there is one alone.
  double agreement = 0.0;
  /// Most that the slowest device's time can fall, relative, by giving equal loads out anew in step with the speeds.
  double most_gain = 0.0;

  bool is_distinguishable() const { return spread > noise_spread; }
  bool is_repeatable() const { return is_distinguishable() && agreement > 0.5; }
};

/// At least two devices and four blocks, else UsageError.
DeviceSpread judge_spread(const SpeedBlocks& blocks, std::uint64_t seed = 1);

/// A row a device by node and slot (above `most_rows` the fastest and the slowest), then the verdict in words.
std::string spread_text(const DeviceSpread& spread, std::span<const DeviceDescription> devices,
                        std::size_t most_rows = 32);

/// The same figures of all devices, and the verdict.
JsonRecord spread_record(const DeviceSpread& spread, std::span<const DeviceDescription> devices);

}  // namespace gem
