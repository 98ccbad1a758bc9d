#include "search/measured_range.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "base/text.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

// Loads of single devices in single steps and layers that have more tiles than any point of the profile.
struct LoadsBeyond {
  std::size_t count = 0;
  std::int64_t most_tiles = 0;
  std::int64_t most_tokens = 0;
};

LoadsBeyond loads_beyond(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping,
                         std::int64_t measured_tiles) {
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
  return beyond;
}

}  // namespace

std::string describe_beyond_measured(const LatencyProfile& profile, const LoadTrace& trace, const Mapping& mapping) {
  std::string notes;
  const std::size_t slots = mapping.slots_per_device();
  if (profile.experts_per_device > 0 && slots > profile.experts_per_device)
    notes += format(
        "Note: a device holds up to %zu experts, but the profile was measured with %zu\n"
        "at most: latencies beyond are extrapolated; profile again with\n"
        "gem-profile --experts-per-device %zu\n",
        slots, profile.experts_per_device, slots);

  std::int64_t measured_tiles = 0;
  for (const LoadPoint& point : profile.points) measured_tiles = std::max(measured_tiles, point.tiles);
  const LoadsBeyond beyond = loads_beyond(profile, trace, mapping, measured_tiles);
  if (beyond.count > 0) {
    const double loads = static_cast<double>(trace.step_count() * trace.layer_count() * profile.device_count());
    notes += format(
        "Note: %.3g %% of the loads of a device are beyond the profile: up to %lld tiles of\n"
        "%zu tokens, where %lld were measured; their latencies are extrapolated. Profile\n"
        "again with gem-profile --max-tokens %lld\n",
        100.0 * static_cast<double>(beyond.count) / loads, static_cast<long long>(beyond.most_tiles),
        profile.tile_tokens, static_cast<long long>(measured_tiles), static_cast<long long>(beyond.most_tokens));
  }
  return notes;
}

}  // namespace gem
