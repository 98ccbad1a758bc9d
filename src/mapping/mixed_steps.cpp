#include "mapping/mixed_steps.hpp"

#include <algorithm>
#include <bit>

#include "base/random.hpp"

namespace gem {
namespace {

// Binomial with even chance: set bits among `count` random ones.
std::uint32_t half_of(std::uint32_t count, RandomStream& random) {
  std::uint32_t taken = 0;
  for (; count >= 64; count -= 64) taken += static_cast<std::uint32_t>(std::popcount(random.next()));
  if (count > 0) taken += static_cast<std::uint32_t>(std::popcount(random.next() >> (64 - count)));
  return taken;
}

}  // namespace

std::size_t own_step_copies(std::size_t own, std::size_t step_count) {
  return std::max<std::size_t>(1, own == 0 ? 1 : step_count / 2 / own);
}

std::size_t mixed_steps_in_time(std::size_t wanted, std::size_t own, double own_s, double left_s) {
  const double room = 0.1 * std::max(0.0, left_s) / std::max(own_s, 1e-6) * static_cast<double>(own);
  return room >= static_cast<double>(wanted) ? wanted : std::max(own, static_cast<std::size_t>(room));
}

LoadTrace with_mixed_steps(const LoadTrace& trace, std::size_t step_count, std::uint64_t seed) {
  const std::size_t own = trace.step_count();
  if (own >= step_count || own < 2) return trace;
  LoadTrace mixed = trace;
  mixed.counts = Cube<std::uint32_t>(step_count, trace.layer_count(), trace.expert_count());
  const std::size_t copies = own_step_copies(own, step_count);
  const auto& values = trace.counts.values();
  auto place = mixed.counts.values().begin();
  for (std::size_t copy = 0; copy < copies; ++copy) place = std::copy(values.begin(), values.end(), place);
  for (std::size_t t = copies * own; t < step_count; ++t) {
    RandomStream random{seed, t};
    const std::size_t first = t % own;
    const std::size_t second = (first + 1 + random.below(own - 1)) % own;
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t e = 0; e < trace.expert_count(); ++e)
        mixed.counts(t, layer, e) =
            half_of(trace.counts(first, layer, e), random) + half_of(trace.counts(second, layer, e), random);
  }
  return mixed;
}

}  // namespace gem
