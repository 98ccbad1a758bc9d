#include "search/descent.hpp"

#include <algorithm>

namespace gem {

void Descent::run(Placement& placement) { repair(placement, {}); }

void Descent::repair(Placement& placement, std::span<const std::int32_t> changed) {
  const std::size_t devices = placement.problem().device_count();
  change_ = 1;
  changed_at_.assign(devices, 0);
  checked_at_.assign(devices * devices, 0);
  for (std::int32_t device : changed) changed_at_[static_cast<std::size_t>(device)] = change_;
  while (!changed.empty() && sweep(placement, true)) {
  }
  while (sweep(placement, false)) {
  }
}

bool Descent::sweep(Placement& placement, bool changed_only) {
  const std::size_t devices = changed_at_.size();
  bool improved = false;
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = a + 1; b < devices; ++b) {
      std::uint64_t& checked = checked_at_[a * devices + b];
      // A pair that was never checked and has no changed device has nothing new in a sweep over changed ones.
      const std::uint64_t needed = changed_only ? std::max(changed_at_[a], changed_at_[b]) : change_;
      if (checked >= needed) continue;
      const auto found =
          finder_.best_swap(placement, static_cast<std::int32_t>(a), static_cast<std::int32_t>(b));
      if (found) {
        placement.apply(found->swap);
        changed_at_[a] = changed_at_[b] = ++change_;
        improved = true;
      } else {
        checked = change_;
      }
    }
  return improved;
}

}  // namespace gem
