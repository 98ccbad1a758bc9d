#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "search/exact_search.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// Optimal assignments where experts have more sets than ExactSearch can go through, device by device (20 on 4 devices:
/// 11.7e9 assignments). Devices are two halves. First each set of experts that the first half can hold is bounded,
/// column by column, by water filling over the devices of either half. Then, the least bound first, the ways to split
/// such a set, and the rest, over the devices of their half are listed; a way is out where it alone, with the least
/// that the other half needs in each column, costs too much, which raises that least in turn. What is left of the two
/// lists is summed pair by pair. Devices of equal latency are told apart by their first expert alone. Made once for all
/// layers of a shape.
class HalvesSearch {
 public:
  static constexpr std::uint64_t default_max_nodes = 1'000'000'000;

  /// True if there are few enough sets to list, and to split.
  static bool fits(std::size_t expert_count, std::size_t device_count, std::size_t columns);

  HalvesSearch(std::size_t expert_count, std::size_t device_count);

  /// `incumbent`: a good assignment; the better it is, the less has to be looked at. Gives up after `max_nodes`
  /// vectors of columns; the sets that are left then bound the layer, for each expert is whole in its half.
  /// The same once `stop_now`, asked now and then, says yes; empty: never.
  ExactResult solve(const LayerProblem& problem, const Assignment& incumbent,
                    std::uint64_t max_nodes = default_max_nodes, const std::function<bool()>& stop_now = {}) const;

 private:
  friend class HalvesRun;

  std::size_t expert_count_, device_count_, slots_;
  std::vector<std::uint32_t> parts_;  // each set that one device can hold, as bits, ascending
  std::vector<std::int32_t> index_;   // [bits], where in parts_
};

}  // namespace gem
