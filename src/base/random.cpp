#include "base/random.hpp"

#include <cmath>
#include <numbers>
#include <vector>

namespace gem {
namespace {

std::mt19937_64 seeded(std::initializer_list<std::uint64_t> key) {
  std::vector<std::uint32_t> words;
  for (std::uint64_t part : key) {
    words.push_back(static_cast<std::uint32_t>(part));
    words.push_back(static_cast<std::uint32_t>(part >> 32));
  }
  std::seed_seq sequence(words.begin(), words.end());
  return std::mt19937_64(sequence);
}

}  // namespace

RandomStream::RandomStream(std::initializer_list<std::uint64_t> key) : engine_(seeded(key)) {}

std::uint64_t RandomStream::below(std::uint64_t bound) {
  // Rejection keeps every value equally likely; the loop runs once in all but bound / 2^64 of the cases.
  const std::uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  std::uint64_t value = engine_();
  while (value >= limit) value = engine_();
  return value % bound;
}

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

double RandomStream::gamma(double shape) {
  if (shape < 1.0) return gamma(shape + 1.0) * std::pow(1.0 - uniform(), 1.0 / shape);
  const double d = shape - 1.0 / 3.0;
  const double c = 1.0 / std::sqrt(9.0 * d);
  for (;;) {
    const double x = normal();
    const double v = std::pow(1.0 + c * x, 3);
    if (v > 0.0 && std::log(1.0 - uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return d * v;
  }
}

}  // namespace gem
