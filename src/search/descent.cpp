#include "search/descent.hpp"

#include <algorithm>

namespace gem {

void Descent::forget(std::size_t device_count) {
  change_ = 1;
  changed_at_.assign(device_count, 0);
  checked_at_.assign(device_count * device_count, 0);
}

void Descent::run(Placement& placement) {
  forget(placement.problem().device_count());
  while (sweep(placement, false)) {
  }
}

void Descent::repair(Placement& placement, std::span<const std::int32_t> changed) {
  forget(placement.problem().device_count());
  for (std::int32_t device : changed) changed_at_[static_cast<std::size_t>(device)] = change_;
  while (sweep(placement, true)) {
  }
}

bool Descent::sweep(Placement& placement, bool changed_only) {
  const std::size_t devices = changed_at_.size(), block = placement.problem().block_devices();
  bool improved = false;
  for (std::size_t a = 0; a < devices; ++a)
    for (std::size_t b = a + 1; b < (a / block + 1) * block; ++b) {
      std::uint64_t& checked = checked_at_[a * devices + b];
      // A pair that was never checked and has no changed device has nothing new in a sweep over changed ones.
      const std::uint64_t needed = changed_only ? std::max(changed_at_[a], changed_at_[b]) : change_;
      if (checked >= needed) continue;
      const auto found = finder_.best_swap(placement, static_cast<std::int32_t>(a), static_cast<std::int32_t>(b));
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
