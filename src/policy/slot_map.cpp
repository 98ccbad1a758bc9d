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

SlotSeconds::SlotSeconds(const CostModel& model, const LoadTrace& trace, std::size_t layer, SlotRow row,
                         std::size_t slots_per_device)
    : model_(&model), trace_(&trace), layer_(layer), slots_per_device_(slots_per_device), shares_(shares_of(row)) {
  seconds_.resize(model.device_count());
  for (std::size_t device = 0; device < seconds_.size(); ++device)
    write_seconds(device_part(shares_, device), device, seconds_[device]);
}

double SlotSeconds::sum() const {
  std::vector<const double*> seconds;
  for (const std::vector<double>& of_device : seconds_) seconds.push_back(of_device.data());
  return sum_of_slowest(seconds);
}

double SlotSeconds::sum_of(SlotRow row) const {
  const std::vector<Share> shares = shares_of(row);
  std::vector<std::vector<double>> changed(seconds_.size());
  std::vector<const double*> seconds;
  for (std::size_t device = 0; device < seconds_.size(); ++device) {
    const std::span<const Share> part = device_part(shares, device);
    const bool is_same = std::ranges::equal(part, device_part(shares_, device));
    if (!is_same) write_seconds(part, device, changed[device]);
    seconds.push_back(is_same ? seconds_[device].data() : changed[device].data());
  }
  return sum_of_slowest(seconds);
}

std::vector<SlotSeconds::Share> SlotSeconds::shares_of(SlotRow row) const {
  const std::vector<std::int32_t> copies = slot_counts(row, trace_->expert_count());
  std::vector<std::int32_t> next(copies.size(), 0);
  std::vector<Share> shares;
  shares.reserve(row.size());
  for (const std::int32_t expert : row) {
    const auto e = static_cast<std::size_t>(expert);
    shares.push_back({expert, copies[e], next[e]++});
  }
  return shares;
}

std::span<const SlotSeconds::Share> SlotSeconds::device_part(const std::vector<Share>& shares,
                                                             std::size_t device) const {
  return std::span(shares).subspan(device * slots_per_device_, slots_per_device_);
}

void SlotSeconds::write_seconds(std::span<const Share> shares, std::size_t device, std::vector<double>& seconds) const {
  const LoadRules& rules = model_->latencies().rules();
  std::vector<std::uint32_t> tokens(shares.size());
  seconds.reserve(trace_->step_count() * model_->stage_count());
  for (std::size_t step = 0; step < trace_->step_count(); ++step) {
    const auto counts = trace_->counts.row(step, layer_);
    std::ranges::transform(shares, tokens.begin(), [&](const Share& share) {
      return share_of(counts[static_cast<std::size_t>(share.expert)], static_cast<std::size_t>(share.copies),
                      static_cast<std::size_t>(share.copy));
    });
    const DeviceLoad load = load_of(tokens, rules);
    for (std::size_t stage = 0; stage < model_->stage_count(); ++stage)
      seconds.push_back(model_->stage(stage).seconds(device, load));
  }
}

double SlotSeconds::sum_of_slowest(const std::vector<const double*>& seconds) const {
  double sum = 0.0;
  for (std::size_t at = 0; at < trace_->step_count() * model_->stage_count(); ++at) {
    double slowest = 0.0;
    for (const double* const of_device : seconds) slowest = std::max(slowest, of_device[at]);
    sum += slowest;
  }
  return sum;
}

double slots_seconds(const CostModel& model, const LoadTrace& trace, std::size_t layer, SlotRow row,
                     std::size_t slots_per_device) {
  return SlotSeconds(model, trace, layer, row, slots_per_device).sum();
}

}  // namespace gem
