#include "search/latency_tables.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// A table of more entries than this (1 GiB over all devices) means that the trace is not what it should be.
constexpr std::size_t most_entries = std::size_t{1} << 28;

}  // namespace

DeviceLatencies::DeviceLatencies(const LatencyProfile& profile, LoadFeatures features, double exchange_row_s)
    : features_(features), exchange_row_s_(exchange_row_s), rule_(profile.load_rule()) {
  if (features == LoadFeatures::Tokens) {
    rule_ = {.tile_tokens = rule_.tile_tokens};
    curves_ = curves_of(profile);
  } else {
    surfaces_ = surfaces_of(profile);
  }
}

double DeviceLatencies::seconds(std::size_t device, double tiles, double active_experts, double tokens) const {
  return features_ == LoadFeatures::Tokens ? curves_[device].seconds(tokens)
                                           : surfaces_[device].seconds(tiles, active_experts);
}

LatencyTables::LatencyTables(const DeviceLatencies& latencies, const LoadKeys& keys, std::int32_t largest_key)
    : keys_(keys), device_count_(latencies.device_count()), key_count_(static_cast<std::size_t>(largest_key) + 1) {
  if (key_count_ > most_entries / device_count_)
    throw UsageError(
        fmt::format("a device may get a load of {} in one step, too large for a table over {} devices; use smaller "
                    "steps (fewer tokens a step)",
                    largest_key, device_count_));
  std::vector<double> seconds(device_count_ * key_count_, 0.0);
  for (std::size_t d = 0; d < device_count_; ++d)
    for (std::int32_t key = 1; key <= largest_key; ++key) {
      const double tiles = keys.features == LoadFeatures::Tokens ? 0.0 : keys.tiles(key);
      const double active = keys.features == LoadFeatures::Tokens ? 0.0 : keys.active_experts(key);
      seconds[d * key_count_ + static_cast<std::size_t>(key)] = latencies.seconds(d, tiles, active, key);
    }
  const double largest_s = *std::max_element(seconds.begin(), seconds.end());
  tick_s_ = 1e-9 * std::max(1.0, std::ceil(largest_s / 1e-9 / 2e9));
  ticks_.resize(seconds.size());
  std::ranges::transform(seconds, ticks_.begin(), [&](double s) { return ticks_of(s); });
  const LoadCosts& costs = latencies.rule().costs;
  if (costs.bends.empty()) return;
  const double skewed_s = costs.even_surplus_s(keys.tiles(largest_key), 0.0);
  if (skewed_s > largest_s)
    throw DataError(fmt::format(
        "the profile says that {} tiles of one expert cost {} more than if they were spread evenly, longer than "
        "any load that was measured; profile again",
        keys.tiles(largest_key), format_seconds(skewed_s)));
  even_ticks_ = ticks_;
  for (std::int32_t key = 1; key <= largest_key; ++key) {
    const std::int32_t surplus = ticks_of(costs.even_surplus_s(keys.tiles(key), keys.active_experts(key)));
    for (std::size_t d = 0; d < device_count_; ++d) ticks_[d * key_count_ + static_cast<std::size_t>(key)] -= surplus;
  }
}

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
