#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "search/layer_problem.hpp"

namespace gem {

/// What the search of one layer came to.
struct ExactResult {
  bool proven = false;           ///< the assignment is optimal
  Assignment assignment;         ///< the best known
  std::int64_t cost = 0;         ///< its cost, ticks summed over columns
  std::int64_t lower_bound = 0;  ///< no assignment is below; 0: nothing is known
  std::uint64_t nodes = 0;       ///< partial assignments looked at
};

/// Optimal assignments of layers with few experts (16 on 4 devices: 63 million assignments), by branch and bound over
/// what set of experts each device gets in turn. A node where some devices have their sets is bounded, column by
/// column, by the slowest of them and by the water-filling bound of the experts that are left on the devices that are
/// left. Times of sets and bounds of what is left are tabulated. Made once for all layers of a shape.
class ExactSearch {
 public:
  static constexpr std::uint64_t default_max_nodes = 100'000'000;

  /// True if sets of experts of such a shape can be tabulated.
  static bool fits(std::size_t expert_count, std::size_t device_count, std::size_t columns);

  ExactSearch(std::size_t expert_count, std::size_t device_count);

  /// `incumbent`: a good assignment; the better it is, the less has to be looked at. Gives up after `max_nodes`.
  ExactResult solve(const LayerProblem& problem, const Assignment& incumbent,
                    std::uint64_t max_nodes = default_max_nodes) const;

 private:
  friend class ExactRun;

  std::size_t device_count_;
  std::size_t slots_;
  // Sets of experts as bits. A set is left for the last devices if its size is a multiple of `slots`.
  std::vector<std::uint32_t> parts_;      // each set that one device can hold
  std::vector<std::uint32_t> left_;       // each set that can be left
  std::vector<std::int32_t> index_;       // [bits], where in parts_ or left_; parts_ are the first of left_
  std::vector<std::int32_t> parts_of_;    // indices of the parts of one left set after the other
  std::vector<std::size_t> parts_begin_;  // [index of left set + 1], where its parts begin
};

}  // namespace gem
