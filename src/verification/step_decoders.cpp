#include "verification/step_decoders.hpp"

#include <algorithm>
#include <numeric>

namespace gem {

std::size_t own_tokens(std::size_t tokens, std::size_t device_count, std::size_t device) {
  return tokens / device_count + (device < tokens % device_count ? 1 : 0);
}

namespace {

struct Devices {
  const std::vector<double>& speeds;
  const std::vector<double>& shared;  // see balanced_trace

  // Until a device is done with its shared experts and `count` of `total` equal pieces of the routed ones' work.
  double end(std::size_t device, std::size_t count, std::size_t total) const {
    return (shared.empty() ? 0.0 : shared[device]) * static_cast<double>(total) +
           static_cast<double>(count) / speeds[device];
  }
};

// Hands out pieces of work until all `total` are, one at a time to the device that then ends first; `shares` grow up to
// `limits`.
void hand_out(std::size_t total, const Devices& devices, const std::vector<std::size_t>& limits,
              std::vector<std::size_t>& shares) {
  const std::size_t device_count = devices.speeds.size();
  for (std::size_t given = std::accumulate(shares.begin(), shares.end(), std::size_t{0}); given < total; ++given) {
    std::size_t best = device_count;
    for (std::size_t d = 0; d < device_count; ++d)
      if (shares[d] < limits[d] &&
          (best == device_count || devices.end(d, shares[d] + 1, total) < devices.end(best, shares[best] + 1, total)))
        best = d;
    ++shares[best];
  }
}

// What of `total` goes to the first `until` of `sum` equal parts: rounded so, the differences keep the total.
std::size_t up_to(std::size_t total, std::size_t until, std::size_t sum) {
  return (2 * total * until + sum) / (2 * sum);
}

// One step of one layer. experts_of: [device].
void balance(std::span<const std::uint32_t> counts, const LoadRules& rules, const Devices& by,
             const std::vector<std::vector<std::size_t>>& experts_of, std::span<std::uint32_t> balanced) {
  const std::size_t devices = by.speeds.size(), tokens = row_count(counts);
  const std::uint32_t tile_tokens =
      rules.of(rules.regime_of(static_cast<std::int64_t>((tokens + devices - 1) / devices))).tile_tokens;
  std::size_t active = 0, tiles = 0;
  for (const std::uint32_t count : counts) {
    active += count > 0 ? 1 : 0;
    tiles += tiles_of(count, tile_tokens);
  }
  std::vector<std::size_t> slots, active_of(devices, 0);
  for (const std::vector<std::size_t>& experts : experts_of) slots.push_back(experts.size());
  hand_out(active, by, slots, active_of);
  std::vector<std::size_t> tiles_of_device = active_of, limits = active_of;
  for (std::size_t& limit : limits) limit = limit > 0 ? tiles : 0;
  hand_out(tiles, by, limits, tiles_of_device);
  // All tiles of an expert but its last are full. The last has one token, which begins it, and as much of the rest as
  // every expert's.
  const std::size_t rest = tokens - active - (tiles - active) * tile_tokens;
  std::size_t number = 0;
  for (std::size_t d = 0; d < devices; ++d)
    for (std::size_t i = 0; i < active_of[d]; ++i, ++number) {
      const std::size_t own_tiles = tiles_of_device[d] / active_of[d] + (i < tiles_of_device[d] % active_of[d] ? 1 : 0);
      const std::size_t own_rest = up_to(rest, number + 1, active) - up_to(rest, number, active);
      balanced[experts_of[d][i]] = static_cast<std::uint32_t>((own_tiles - 1) * tile_tokens + 1 + own_rest);
    }
}

}  // namespace

std::vector<ExpertHomes> first_homes(const std::vector<ExpertHomes>& homes) {
  std::vector<ExpertHomes> firsts;
  for (const ExpertHomes& of_layer : homes) {
    std::vector<std::int32_t> devices;
    for (std::size_t expert = 0; expert < of_layer.expert_count(); ++expert)
      devices.push_back(of_layer.of(expert).empty() ? -1 : of_layer.of(expert).front());
    firsts.emplace_back(devices);
  }
  return firsts;
}

LoadTrace balanced_trace(const LoadTrace& trace, const std::vector<ExpertHomes>& homes,
                         const std::vector<double>& speeds, const LoadRules& rules, const std::vector<double>& shared) {
  LoadTrace balanced = trace;
  std::ranges::fill(balanced.counts.values(), 0u);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    std::vector<std::vector<std::size_t>> experts_of(speeds.size());
    for (std::size_t expert = 0; expert < trace.experts_in(layer); ++expert)
      experts_of[static_cast<std::size_t>(homes[layer].of(expert).front())].push_back(expert);
    for (std::size_t step = 0; step < trace.step_count(); ++step)
      balance(trace.counts.row(step, layer), rules, {speeds, shared}, experts_of, balanced.counts.row(step, layer));
  }
  return balanced;
}

}  // namespace gem
