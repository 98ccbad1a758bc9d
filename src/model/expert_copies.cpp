#include "model/expert_copies.hpp"

#include <algorithm>
#include <numeric>

namespace gem {

ExpertHomes::ExpertHomes(std::span<const std::int32_t> expert_to_device) : ExpertHomes(expert_to_device, {}) {}

ExpertHomes::ExpertHomes(std::span<const std::int32_t> expert_to_device, std::span<const RedundantCopy> redundant) {
  auto next = redundant.begin();
  for (std::size_t expert = 0; expert < expert_to_device.size(); ++expert) {
    first_copy_.push_back(devices_.size());
    if (expert_to_device[expert] >= 0) devices_.push_back(expert_to_device[expert]);
    for (; next != redundant.end() && next->expert == static_cast<std::int32_t>(expert); ++next)
      devices_.push_back(next->device);
  }
  first_copy_.push_back(devices_.size());
}

ExpertHomes::ExpertHomes(const std::vector<std::vector<std::int32_t>>& devices,
                         const std::vector<std::vector<std::uint32_t>>& shares) {
  for (std::size_t expert = 0; expert < devices.size(); ++expert) {
    first_copy_.push_back(devices_.size());
    devices_.insert(devices_.end(), devices[expert].begin(), devices[expert].end());
    shares_.insert(shares_.end(), shares[expert].begin(), shares[expert].end());
  }
  first_copy_.push_back(devices_.size());
}

std::uint32_t ExpertHomes::tokens_on(std::int32_t device, std::size_t expert, std::uint32_t tokens) const {
  const auto devices = of(expert);
  const auto found = std::ranges::find(devices, device);
  if (found == devices.end()) return 0;
  return share(expert, static_cast<std::size_t>(found - devices.begin()), tokens);
}

ExpertHomes homes_of(const Mapping& mapping, std::size_t layer) {
  if (mapping.redundant_count() == 0) return ExpertHomes(mapping.expert_to_device.row(layer));
  return {mapping.expert_to_device.row(layer), mapping.redundant.row(layer)};
}

std::vector<std::int32_t> experts_of_copies(std::span<const std::int32_t> copy_counts) {
  std::vector<std::int32_t> experts;
  for (std::size_t expert = 0; expert < copy_counts.size(); ++expert)
    experts.insert(experts.end(), static_cast<std::size_t>(copy_counts[expert]), static_cast<std::int32_t>(expert));
  return experts;
}

LoadTrace split_over_copies(const LoadTrace& trace, const CopyCounts& copy_counts) {
  const auto first_layer = copy_counts.row(0);
  const auto copies = static_cast<std::size_t>(std::accumulate(first_layer.begin(), first_layer.end(), 0));
  LoadTrace split = trace;
  split.counts = Cube<std::uint32_t>(trace.step_count(), trace.layer_count(), copies);
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      auto out = split.counts.row(step, layer).begin();
      for (std::size_t expert = 0; expert < trace.expert_count(); ++expert) {
        const auto count = static_cast<std::size_t>(copy_counts(layer, expert));
        for (std::size_t copy = 0; copy < count; ++copy)
          *out++ = share_of(trace.counts(step, layer, expert), count, copy);
      }
    }
  return split;
}

}  // namespace gem
