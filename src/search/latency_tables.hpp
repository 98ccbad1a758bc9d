#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/latency_profile.hpp"
#include "model/latency_surface.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// A device's load packed into one integer, the *key*, additive over the experts that the device holds, so that moving
/// an expert is one subtraction and one addition a step. On the surface key = tiles * (experts_per_device + 1) +
/// active_experts (no carry: a device never has more active experts than it holds); on the curve key = tokens.
struct LoadKeys {
  LoadFeatures features = LoadFeatures::TilesAndExperts;
  std::uint32_t tile_tokens = 1;
  std::int32_t experts_per_device = 1;

  /// Key of one expert with so many tokens in a step.
  std::int64_t of(std::uint32_t tokens) const {
    if (features == LoadFeatures::Tokens) return tokens;
    return std::int64_t{tiles_of(tokens, tile_tokens)} * (experts_per_device + 1) + (tokens > 0 ? 1 : 0);
  }
  std::int32_t tiles(std::int32_t key) const { return key / (experts_per_device + 1); }
  std::int32_t active_experts(std::int32_t key) const { return key % (experts_per_device + 1); }
};

/// Latency of each device as a function of its load, in seconds: what a profile says, and nothing of how it is
/// searched. Beside, what dispatch and combine take for each row of the device that gets most; 0: the experts' compute
/// is all that counts.
class DeviceLatencies {
 public:
  DeviceLatencies(const LatencyProfile& profile, LoadFeatures features, double exchange_row_s = 0.0);

  std::size_t device_count() const { return features_ == LoadFeatures::Tokens ? curves_.size() : surfaces_.size(); }
  LoadFeatures features() const { return features_; }
  /// What experts add beside; plain on the curve.
  const LoadRule& rule() const { return rule_; }
  double exchange_row_s() const { return exchange_row_s_; }
  /// Seconds of a device for an even load in the features that were chosen; the others are ignored.
  double seconds(std::size_t device, double tiles, double active_experts, double tokens) const;

 private:
  LoadFeatures features_;
  double exchange_row_s_;
  LoadRule rule_;
  std::vector<LatencySurface> surfaces_;
  std::vector<LatencyCurve> curves_;
};

/// Latency of each device for every key, in ticks: whole nanoseconds, or a multiple of them where a latency would not
/// fit in 32 bits. Integers make a delta equal to the full cost whatever the order of summation. Where experts add
/// something beside (LoadRule), a load's time is its entry and what its experts add: even loads have part of that in
/// them, so it is taken out of the entries.
class LatencyTables {
 public:
  /// Covers the keys 0 .. largest_key. UsageError if the table would be too large to be meant.
  LatencyTables(const DeviceLatencies& latencies, const LoadKeys& keys, std::int32_t largest_key);

  std::size_t device_count() const { return device_count_; }
  std::size_t key_count() const { return key_count_; }
  const LoadKeys& keys() const { return keys_; }
  double tick_s() const { return tick_s_; }
  /// [key], ticks, without what experts add.
  std::span<const std::int32_t> of(std::size_t device) const {
    return {ticks_.data() + device * key_count_, key_count_};
  }
  /// [key], ticks of an even load, which no other load with this key falls below but for the rows of its last tiles.
  std::span<const std::int32_t> even(std::size_t device) const {
    const std::vector<std::int32_t>& ticks = even_ticks_.empty() ? ticks_ : even_ticks_;
    return {ticks.data() + device * key_count_, key_count_};
  }
  std::int32_t ticks_of(double seconds) const { return static_cast<std::int32_t>(std::llround(seconds / tick_s_)); }

 private:
  LoadKeys keys_;
  std::size_t device_count_;
  std::size_t key_count_;
  double tick_s_ = 1e-9;
  std::vector<std::int32_t> ticks_;       // [device, key]
  std::vector<std::int32_t> even_ticks_;  // likewise; empty where they are the same
};

/// The first `count` devices of a profile; UsageError if it has fewer.
LatencyProfile first_devices(const LatencyProfile& profile, std::size_t count);

/// Every device with the mean latency of all: the comparison with equal devices.
LatencyProfile equal_devices(const LatencyProfile& profile);

}  // namespace gem
