#include "mapping/leaning.hpp"

#include "base/random.hpp"

namespace gem {

LoadTrace leaned(const LoadTrace& trace, double share, std::uint64_t seed) {
  if (share <= 0.0) return trace;
  LoadTrace result = trace;
  Matrix<double> mean(trace.layer_count(), trace.expert_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t expert = 0; expert < trace.expert_count(); ++expert)
        mean(layer, expert) += trace.counts(step, layer, expert) / static_cast<double>(trace.step_count());
  constexpr std::uint64_t lean_stream = 0x1ea4;
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    RandomStream random{seed, lean_stream, step};
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer)
      for (std::size_t expert = 0; expert < trace.experts_in(layer); ++expert) {
        const double tokens = (1.0 - share) * trace.counts(step, layer, expert) + share * mean(layer, expert);
        result.counts(step, layer, expert) = static_cast<std::uint32_t>(tokens + random.uniform());
      }
  }
  return result;
}

}  // namespace gem
