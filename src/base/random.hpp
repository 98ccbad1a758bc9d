#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>
#include <span>
#include <utility>

namespace gem {

/// A random stream that gives the same numbers on every machine: the engine is the standard's, the distributions are
/// ours because the standard leaves theirs to the library. Streams of different keys are independent.
class RandomStream {
 public:
  /// `key` names the stream: a seed first, then what it is for (layer, start, device, ...).
  explicit RandomStream(std::initializer_list<std::uint64_t> key);

  std::uint64_t next() { return engine_(); }
  /// Uniform in [0, 1).
  double uniform() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  /// Uniform in {0, ..., bound - 1}; bound > 0.
  std::uint64_t below(std::uint64_t bound);
  /// Standard normal (Box-Muller).
  double normal();
  /// Gamma of the given shape > 0 and scale 1 (Marsaglia and Tsang 2000).
  double gamma(double shape);

  /// Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> values) {
    for (std::size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[below(i)]);
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace gem
