#include "device/host/expert_weights.hpp"

#include <cmath>

#include "base/random.hpp"

namespace gem {
namespace {

// Four values from each draw, of 16 bits each: a model has billions of weights, and only their moments matter.
void fill_uniform(RandomStream& random, double standard_deviation, std::span<float> values) {
  // Odd multiples of 2^-16 within (-1, 1) have variance 1/3.
  const auto scale = static_cast<float>(standard_deviation * std::sqrt(3.0) / 65536.0);
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i % 4 == 0) bits = random.next();
    const auto odd = 2 * static_cast<std::int32_t>(bits & 0xffffu) - 65535;
    values[i] = static_cast<float>(odd) * scale;
    bits >>= 16;
  }
}

}  // namespace

void fill_expert_weights(std::uint64_t seed, std::size_t layer, ExpertId expert, ExpertMatrix matrix,
                         std::size_t fan_in, std::span<float> weights) {
  RandomStream random({seed, layer, static_cast<std::uint64_t>(expert.value), static_cast<std::uint64_t>(matrix)});
  fill_uniform(random, 1.0 / std::sqrt(static_cast<double>(fan_in)), weights);
}

void fill_random_rows(std::uint64_t seed, std::span<float> rows) {
  RandomStream random({seed, 0x40f5u});
  fill_uniform(random, 1.0, rows);
}

}  // namespace gem
