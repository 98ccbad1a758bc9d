#include "mapping/measured_range.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/option.hpp"
#include "base/text.hpp"
#include "cost/device_loads.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

// Loads of single devices in single steps and layers that have more tiles than any point of the profile.
struct LoadsBeyond {
  std::size_t count = 0;
  double share = 0.0;  // of all loads
  std::int64_t max_tiles = 0;
  std::uint32_t tile_tokens = 0;    // of these tiles
  std::int64_t measured_tiles = 0;  // most measured ones
  std::int64_t max_tokens = 0;
};

// Of each of the kernel's tiles, [regime].
std::vector<std::int64_t> max_measured_tiles(const LatencyProfile& profile) {
  const auto max_of = [](std::span<const LoadPoint> points) {
    std::int64_t tiles = 0;
    for (const LoadPoint& point : points) tiles = std::max(tiles, point.tiles);
    return tiles;
  };
  if (profile.regimes.empty()) return {max_of(profile.points)};
  std::vector<std::int64_t> tiles;
  for (std::size_t r = 0; r < profile.regimes.size(); ++r)
    tiles.push_back(
        max_of(std::span(profile.regime_points).subspan(first_point_of(profile, r), profile.regimes[r].point_count)));
  return tiles;
}

LoadsBeyond loads_beyond(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  const std::vector<std::int64_t> measured_tiles = max_measured_tiles(profile);
  const LoadRules rules = profile.load_rules();
  LoadsBeyond beyond;
  std::vector<DeviceLoad> loads(profile.device_count());
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const ExpertHomes homes = homes_of(mapping, layer);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      sum_loads(trace.counts.row(step, layer), homes, rules, loads);
      for (const DeviceLoad& load : loads) {
        const std::size_t regime = rules.regime_of(load.tokens);
        if (load.tiles <= measured_tiles[regime]) continue;
        ++beyond.count;
        if (load.tiles > beyond.max_tiles) {
          beyond.tile_tokens = rules.of(regime).tile_tokens;
          beyond.measured_tiles = measured_tiles[regime];
        }
        beyond.max_tiles = std::max(beyond.max_tiles, load.tiles);
        beyond.max_tokens = std::max(beyond.max_tokens, load.tokens);
      }
    }
  }
  beyond.share = static_cast<double>(beyond.count) /
                 static_cast<double>(trace.step_count() * trace.layer_count() * profile.device_count());
  return beyond;
}

}  // namespace

std::string describe_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  std::string notes;
  const std::size_t slots = mapping.slots_per_device();
  if (profile.experts_per_device > 0 && slots > profile.experts_per_device)
    notes += fmt::format(
        "Note: a device holds up to {} experts, but the profile was measured with {}\n"
        "at most: latencies beyond are extrapolated; profile again with\n"
        "gem-profile {} {}\n",
        slots, profile.experts_per_device, on_command_line("experts-per-device"), slots);

  const LoadsBeyond beyond = loads_beyond(profile, trace, mapping);
  if (beyond.count > 0)
    notes += fmt::format(
        "Note: {:.3g} % of the loads of a device are beyond the profile: up to {} tiles of\n"
        "{} tokens, where {} were measured; their latencies are extrapolated. Profile\n"
        "again with gem-profile {} {}\n",
        100.0 * beyond.share, beyond.max_tiles, beyond.tile_tokens, beyond.measured_tiles,
        on_command_line("max-tokens"), beyond.max_tokens);
  return notes;
}

double share_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  return loads_beyond(profile, trace, mapping).share;
}

}  // namespace gem
