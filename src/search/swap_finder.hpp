#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "search/placement.hpp"

namespace gem {

/// A swap and the (exact) change of cost that it brings.
struct FoundSwap {
  Swap swap;
  std::int64_t change;
};

/// What a search has looked at, for rates: a candidate-step is one swap judged in one step.
struct SearchWork {
  std::uint64_t candidate_steps = 0;  ///< of all swaps that were considered, as if each had been summed over all steps
  std::uint64_t evaluated_steps = 0;  ///< really looked up
};

/// Finds the best swap between two devices. Not all steps are summed: a swap can gain only in steps whose straggler is
/// one of the two, so these come first; then, the most promising swap first, the others (which can only lose) while the
/// swap still beats the best so far.
class SwapFinder {
 public:
  /// The swap of an expert of `first` with one of `second` that lowers the cost most, the first in slot order of equal
  /// ones; nothing if none lowers it.
  std::optional<FoundSwap> best_swap(const Placement& placement, std::int32_t first, std::int32_t second);

  const SearchWork& work() const { return work_; }

 private:
  void pack_straggler_steps(const Placement& placement, std::int32_t first, std::int32_t second);
  // Loads of a device, [packed step], or of its experts, [slot, packed step]; extras are empty where there are none.
  struct Packed {
    std::vector<std::int32_t> keys, extras;
    LoadRow row() const { return {keys.data(), extras.empty() ? nullptr : extras.data()}; }
  };
  void pack(std::span<const LoadRow> rows, Packed& packed) const;
  void pack_experts(const Placement& placement, std::int32_t device, Packed& packed);

  // Steps whose straggler is one of the two devices, packed.
  std::vector<std::int32_t> steps_;
  std::size_t packed_count_ = 0;  // padded
  Packed load_first_, load_second_, experts_first_, experts_second_;
  std::vector<LoadRow> rows_;         // [slot]
  std::vector<std::int32_t> floor_;   // [packed step]
  std::vector<std::int64_t> excess_;  // [slot of first, slot of second]
  // All steps; those above have the largest floor, so that they add nothing.
  std::vector<std::int32_t> others_;
  std::vector<std::int32_t> floor_of_rest_;
  // Swaps that gain in the packed steps.
  struct Candidate {
    std::int64_t gain;
    std::size_t pair;  // slot of first * slots + slot of second
  };
  std::vector<Candidate> candidates_;
  SearchWork work_;
};

}  // namespace gem
