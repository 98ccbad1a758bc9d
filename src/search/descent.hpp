#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "search/swap_finder.hpp"

namespace gem {

/// Swaps experts while any swap lowers the cost; ends at a local optimum of all swaps. Pairs of devices are looked at in the
/// order of what they could save at most; a pair is looked at again only when something has changed since: first pairs
/// with a device that changed, then those for which only the slowest of the others did.
class Descent {
 public:
  /// `changed`: devices that changed since the placement was last a local optimum; all devices if it never was.
  void run(Placement& placement, std::span<const std::int32_t> changed);
  void run(Placement& placement);

  const SearchWork& work() const { return finder_.work(); }

 private:
  SwapFinder finder_;
  std::vector<std::uint64_t> changed_at_;  // [device], number of the change
  std::vector<std::uint64_t> checked_at_;  // [device, device], change after which the pair was last found without a gain
};

}  // namespace gem
