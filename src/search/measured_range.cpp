#include "search/measured_range.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/option.hpp"
#include "base/text.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

// Loads of single devices in single steps and layers that have more tiles than any point of the profile.
struct LoadsBeyond {
  std::size_t count = 0;
  double share = 0.0;  // of all loads
  std::int64_t most_tiles = 0;
  std::int64_t most_tokens = 0;
};

std::int64_t most_measured_tiles(const LatencyProfile& profile) {
  std::int64_t most = 0;
  for (const LoadPoint& point : profile.points) most = std::max(most, point.tiles);
  return most;
}

LoadsBeyond loads_beyond(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  const std::int64_t measured_tiles = most_measured_tiles(profile);
  const auto tile_tokens = static_cast<std::uint32_t>(std::max<std::size_t>(1, profile.tile_tokens));
  LoadsBeyond beyond;
  std::vector<std::int64_t> tiles(profile.device_count()), tokens(profile.device_count());
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const ExpertHomes homes = homes_of(mapping, layer);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      std::ranges::fill(tiles, 0);
      std::ranges::fill(tokens, 0);
      for (std::size_t expert = 0; expert < trace.expert_count(); ++expert)
        for (const std::int32_t device : homes.of(expert)) {
          const std::uint32_t own = homes.tokens_on(device, expert, trace.counts(step, layer, expert));
          tokens[static_cast<std::size_t>(device)] += own;
          tiles[static_cast<std::size_t>(device)] += tiles_of(own, tile_tokens);
        }
      for (std::size_t device = 0; device < tiles.size(); ++device) {
        if (tiles[device] <= measured_tiles) continue;
        ++beyond.count;
        beyond.most_tiles = std::max(beyond.most_tiles, tiles[device]);
        beyond.most_tokens = std::max(beyond.most_tokens, tokens[device]);
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
        100.0 * beyond.share, beyond.most_tiles, profile.tile_tokens, most_measured_tiles(profile),
        on_command_line("max-tokens"), beyond.most_tokens);
  return notes;
}

double share_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  return loads_beyond(profile, trace, mapping).share;
}

}  // namespace gem
