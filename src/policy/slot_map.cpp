#include "policy/slot_map.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/error.hpp"
#include "cost/device_loads.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

SlotRow device_part(SlotRow row, std::size_t device, std::size_t slots_per_device) {
  return row.subspan(device * slots_per_device, slots_per_device);
}

}  // namespace

void check_slots(SlotRow row, std::size_t layer, std::size_t expert_count) {
  for (std::size_t slot = 0; slot < row.size(); ++slot)
    if (row[slot] < 0 || static_cast<std::size_t>(row[slot]) >= expert_count)
      throw DataError(fmt::format("the present map has {} in slot {} of layer {}, but must have an expert, 0 to {}",
                                  row[slot], slot, layer, expert_count - 1));
  const std::vector<std::int32_t> counts = slot_counts(row, expert_count);
  const auto missing = std::ranges::find(counts, 0);
  if (missing != counts.end())
    throw DataError(fmt::format("the present map has no slot for expert {} of layer {}, but every expert must have one",
                                missing - counts.begin(), layer));
}

DeviceContents contents_of(SlotRow row, std::size_t slots_per_device) {
  DeviceContents contents;
  for (std::size_t device = 0; device < row.size() / slots_per_device; ++device) {
    const SlotRow part = device_part(row, device, slots_per_device);
    contents.emplace_back(part.begin(), part.end());
  }
  return contents;
}

std::vector<std::int32_t> slot_counts(SlotRow row, std::size_t expert_count) {
  std::vector<std::int32_t> counts(expert_count, 0);
  for (const std::int32_t expert : row) ++counts[static_cast<std::size_t>(expert)];
  return counts;
}

std::vector<std::int32_t> arranged(SlotRow present, const Assignment& assignment,
                                   std::span<const std::int32_t> expert_of_copy, std::size_t slots_per_device) {
  constexpr std::int32_t empty = -1;
  std::vector<std::int32_t> row(present.size(), empty);
  std::vector<std::vector<std::int32_t>> coming(present.size() / slots_per_device);
  for (std::size_t placed = 0; placed < assignment.size(); ++placed) {
    const std::int32_t expert = expert_of_copy.empty() ? static_cast<std::int32_t>(placed) : expert_of_copy[placed];
    const auto device = static_cast<std::size_t>(assignment[placed]);
    const SlotRow part = device_part(present, device, slots_per_device);
    const auto slot = std::ranges::find(part, expert);
    if (slot == part.end())
      coming[device].push_back(expert);
    else
      row[device * slots_per_device + static_cast<std::size_t>(slot - part.begin())] = expert;
  }
  for (std::size_t device = 0; device < coming.size(); ++device) {
    auto slot = row.begin() + static_cast<std::ptrdiff_t>(device * slots_per_device);
    for (const std::int32_t expert : coming[device]) {
      slot = std::find(slot, row.end(), empty);
      *slot = expert;
    }
  }
  return row;
}

std::size_t moves_between(SlotRow from, SlotRow to, std::size_t slots_per_device) {
  std::size_t moves = 0;
  for (std::size_t device = 0; device < to.size() / slots_per_device; ++device) {
    const SlotRow before = device_part(from, device, slots_per_device);
    for (const std::int32_t expert : device_part(to, device, slots_per_device))
      moves += std::ranges::find(before, expert) == before.end();
  }
  return moves;
}

double slots_seconds(const CostModel& model, const LoadTrace& trace, std::size_t layer, SlotRow row,
                     std::size_t slots_per_device) {
  const LoadRules& rules = model.latencies().rules();
  const std::vector<std::int32_t> slots = slot_counts(row, trace.expert_count());
  std::vector<std::size_t> next(slots.size());
  std::vector<std::uint32_t> shares;  // [slot] tokens of a device
  double seconds = 0.0;
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    const auto tokens = trace.counts.row(step, layer);
    std::ranges::fill(next, std::size_t{0});
    std::vector<double> slowest(model.stage_count(), 0.0);
    for (std::size_t device = 0; device < model.device_count(); ++device) {
      shares.clear();
      for (const std::int32_t expert : device_part(row, device, slots_per_device)) {
        const auto e = static_cast<std::size_t>(expert);
        shares.push_back(share_of(tokens[e], static_cast<std::size_t>(slots[e]), next[e]++));
      }
      const DeviceLoad load = load_of(shares, rules);
      for (std::size_t stage = 0; stage < slowest.size(); ++stage)
        slowest[stage] = std::max(slowest[stage], model.stage(stage).seconds(device, load));
    }
    for (const double stage_s : slowest) seconds += stage_s;
  }
  return seconds;
}

}  // namespace gem
