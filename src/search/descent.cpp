#include "search/descent.hpp"

#include <algorithm>

#include "search/delta_check.hpp"

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
      if (stop()) return false;
      if (move(placement, static_cast<std::int32_t>(a), static_cast<std::int32_t>(b))) {
        changed_at_[a] = changed_at_[b] = ++change_;
        improved = true;
      } else {
        checked = change_;
      }
    }
  return improved;
}

bool Descent::stop() {
  constexpr std::uint64_t between_questions = 64;
  if (!stopped_ && stop_now_ && pairs_looked_at_++ % between_questions == 0) stopped_ = stop_now_();
  return stopped_;
}

bool Descent::move(Placement& placement, std::int32_t first, std::int32_t second) {
  for (const auto& kind : moves_) {
    const auto found = kind->evaluate(placement, first, second, to_beat_);
    if (!found) continue;
    const std::int64_t before = placement.cost();
    placement.apply(found->relocations);
    check_delta(placement, before, found->change, kind->name());
    return true;
  }
  return false;
}

SearchWork Descent::work() const {
  SearchWork sum;
  for (const auto& kind : moves_) {
    sum.candidate_steps += kind->work().candidate_steps;
    sum.evaluated_steps += kind->work().evaluated_steps;
  }
  return sum;
}

}  // namespace gem
