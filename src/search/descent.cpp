#include "search/descent.hpp"

#include <algorithm>
#include <numeric>

namespace gem {

void Descent::run(Placement& placement) {
  std::vector<std::int32_t> all(placement.problem().device_count());
  std::iota(all.begin(), all.end(), 0);
  run(placement, all);
}

void Descent::run(Placement& placement, std::span<const std::int32_t> changed) {
  const auto devices = static_cast<std::int32_t>(placement.problem().device_count());
  const auto at = [&](std::int32_t a, std::int32_t b) {
    return static_cast<std::size_t>(a) * static_cast<std::size_t>(devices) + static_cast<std::size_t>(b);
  };
  changed_at_.assign(static_cast<std::size_t>(devices), 0);
  checked_at_.assign(at(devices, 0), 0);
  std::uint64_t change = 1;
  for (std::int32_t device : changed) changed_at_[static_cast<std::size_t>(device)] = change;

  for (;;) {
    // The most promising pair, those with a changed device before the others.
    std::int32_t first = -1, second = -1;
    bool best_hot = false;
    std::int64_t best_promise = 0;
    for (std::int32_t a = 0; a < devices; ++a)
      for (std::int32_t b = a + 1; b < devices; ++b) {
        const std::uint64_t checked = checked_at_[at(a, b)];
        if (checked == change) continue;
        const bool hot =
            checked < std::max(changed_at_[static_cast<std::size_t>(a)], changed_at_[static_cast<std::size_t>(b)]);
        if (best_hot && !hot) continue;
        const std::int64_t promise = placement.promise(a, b);
        if (promise <= (hot == best_hot ? best_promise : 0)) continue;
        first = a;
        second = b;
        best_hot = hot;
        best_promise = promise;
      }
    if (first < 0) return;
    if (const auto found = finder_.best_swap(placement, first, second)) {
      placement.apply(found->swap);
      ++change;
      changed_at_[static_cast<std::size_t>(first)] = changed_at_[static_cast<std::size_t>(second)] = change;
    } else {
      checked_at_[at(first, second)] = change;
    }
  }
}

}  // namespace gem
