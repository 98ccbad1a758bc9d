#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "search/layer_problem.hpp"

namespace gem {

/// Groups of consecutive experts that have to stay together, because each token is routed to a few of the groups
/// (DeepSeek-V2, arXiv 2405.04434, section 2.2.2) and a checkpoint can be renumbered by whole groups only. With as many
/// groups as devices or more, a device holds whole groups: they are what is placed. With fewer, each group has a block
/// of consecutive devices to itself: experts are placed, and swapped within a block. One group, and groups of one
/// expert, are no limit.
class ExpertGroups {
 public:
  /// UsageError unless groups divide the experts evenly, and groups and devices divide one way or the other.
  ExpertGroups(std::size_t group_count, std::size_t expert_count, std::size_t device_count);

  /// The same question with this limit; its experts are *units*: whole groups, or experts.
  LayerProblem limited(const LayerProblem& problem) const;

  /// Device of each unit from that of each expert, which must respect the groups, and back.
  Assignment units_of(std::span<const std::int32_t> experts) const;
  Assignment experts_of(const Assignment& units) const;

  /// Device of each expert: groups packed greedily over the blocks, then the experts of each over the block's devices,
  /// by mean loads [expert] and speeds [device].
  Assignment packed(std::span<const double> loads, std::span<const double> speeds) const;

  /// "whole groups of 32 experts on a device", say.
  std::string describe() const;

 private:
  std::size_t group_count_;    // 1 if nothing is limited
  std::size_t group_experts_;  // experts of a group
  std::size_t unit_experts_;   // of a whole group, or 1
  std::size_t block_devices_;  // that share a group, or 1 with whole groups
};

}  // namespace gem
