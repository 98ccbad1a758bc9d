#include "search/expert_groups.hpp"

#include <fmt/core.h>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/text.hpp"
#include "search/packing.hpp"

namespace gem {
namespace {

/// Sums of `count` equally long parts.
std::vector<double> sums_of_parts(std::span<const double> values, std::size_t count) {
  const std::size_t length = values.size() / count;
  std::vector<double> sums(count);
  for (std::size_t part = 0; part < count; ++part) {
    const auto values_of_part = values.subspan(part * length, length);
    sums[part] = std::accumulate(values_of_part.begin(), values_of_part.end(), 0.0);
  }
  return sums;
}

}  // namespace

ExpertGroups::ExpertGroups(std::size_t group_count, std::size_t expert_count, std::size_t device_count) {
  if (group_count == 0 || expert_count % group_count != 0)
    throw UsageError(
        fmt::format("{} experts do not divide into {} groups; give the model's own number", expert_count, group_count));
  if (group_count % device_count != 0 && device_count % group_count != 0)
    throw UsageError(
        fmt::format("{} groups cannot stay together on {} devices; use a number of devices that divides "
                    "the groups or is a multiple of them",
                    group_count, device_count));
  if (group_count > 1 && expert_count % device_count != 0)
    throw UsageError(
        fmt::format("{} experts do not divide over {} devices, so that groups of them cannot stay together; "
                    "use a number of devices that divides them",
                    expert_count, device_count));
  if (group_count == expert_count) group_count = 1;  // groups of one expert are no limit
  group_count_ = group_count;
  group_experts_ = expert_count / group_count;
  const bool whole_groups = group_count % device_count == 0 && group_count > 1;
  unit_experts_ = whole_groups ? group_experts_ : 1;
  block_devices_ = whole_groups ? 1 : device_count / group_count;
}

LayerProblem ExpertGroups::limited(const LayerProblem& problem) const {
  if (unit_experts_ == 1) {
    LayerProblem limited = problem;
    limited.set_block_devices(block_devices_);
    return limited;
  }
  return LayerProblem(problem.merged(unit_experts_));
}

Assignment ExpertGroups::units_of(std::span<const std::int32_t> experts) const {
  Assignment units;
  for (std::size_t expert = 0; expert < experts.size(); expert += unit_experts_) units.push_back(experts[expert]);
  return units;
}

Assignment ExpertGroups::experts_of(const Assignment& units) const {
  Assignment experts;
  for (const std::int32_t device : units) experts.insert(experts.end(), unit_experts_, device);
  return experts;
}

Assignment ExpertGroups::packed(std::span<const double> loads, std::span<const double> speeds) const {
  const std::size_t groups = loads.size() / group_experts_, blocks = speeds.size() / block_devices_;
  const Assignment block_of_group = pack_greedily(sums_of_parts(loads, groups), sums_of_parts(speeds, blocks));
  Assignment assignment;
  for (std::size_t group = 0; group < groups; ++group) {
    const auto first_device = static_cast<std::size_t>(block_of_group[group]) * block_devices_;
    const Assignment within = pack_greedily(loads.subspan(group * group_experts_, group_experts_),
                                            speeds.subspan(first_device, block_devices_));
    for (const std::int32_t device : within) assignment.push_back(static_cast<std::int32_t>(first_device) + device);
  }
  return assignment;
}

std::string ExpertGroups::describe() const {
  if (group_count_ == 1) return "groups of one expert are no limit";
  if (unit_experts_ > 1) return fmt::format("whole groups of {} experts on a device", group_experts_);
  return fmt::format("each group of {} experts on {} devices of its own", group_experts_, block_devices_);
}

}  // namespace gem
