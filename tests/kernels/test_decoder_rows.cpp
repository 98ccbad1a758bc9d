// Norm and top-k of decoder layers against the host.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

#include "kernels/decoder_rows.hpp"
#include "kernels/device_buffer.hpp"

namespace gem::test {
namespace {

std::vector<std::uint16_t> random_values(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::uint16_t> values(count);
  for (auto& value : values) value = to_bf16(std::normal_distribution<float>()(random));
  return values;
}

TEST(DecoderRows, NormMatchesHost) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  for (const int columns : {8, 2048, 2880}) {
    const auto width = static_cast<std::size_t>(columns);
    const std::vector<std::uint16_t> input = random_values(5 * width, 3);
    const DeviceBuffer<std::uint16_t> device_input(input);
    const DeviceBuffer<std::uint16_t> output(input.size());
    check(kernels::launch_rms_norm(device_input.get(), 5, columns, output.get(), nullptr), "norm");
    const std::vector<std::uint16_t> found = output.host();
    for (std::size_t row = 0; row < 5; ++row) {
      double square = 0.0;
      for (std::size_t i = 0; i < width; ++i) square += std::pow(from_bf16(input[row * width + i]), 2);
      const double scale = 1.0 / std::sqrt(square / columns + 1e-6);
      for (std::size_t i = 0; i < width; ++i) {
        const double expected = scale * from_bf16(input[row * width + i]);
        ASSERT_NEAR(from_bf16(found[row * width + i]), expected, 0.01 * std::abs(expected) + 1e-6);
      }
    }
  }
  EXPECT_EQ(kernels::launch_rms_norm(nullptr, 1, 12, nullptr, nullptr), cudaErrorInvalidValue);
}

TEST(DecoderRows, TopKMatchesHost) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  for (const auto& [experts, top_k] : {std::pair{8, 2}, std::pair{64, 6}, std::pair{384, 8}, std::pair{1024, 32}}) {
    const auto count = static_cast<std::size_t>(experts), chosen = static_cast<std::size_t>(top_k);
    const std::vector<std::uint16_t> logits = random_values(7 * count, 4);
    const DeviceBuffer<std::uint16_t> device_logits(logits);
    const DeviceBuffer<std::int32_t> ids(7 * chosen);
    const DeviceBuffer<float> weights(7 * chosen);
    check(kernels::launch_top_k(device_logits.get(), 7, experts, top_k, ids.get(), weights.get(), nullptr), "top-k");
    const std::vector<std::int32_t> found = ids.host();
    const std::vector<float> found_weights = weights.host();
    for (std::size_t row = 0; row < 7; ++row) {
      std::vector<std::int32_t> order(count);
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
        return from_bf16(logits[row * count + static_cast<std::size_t>(a)]) >
               from_bf16(logits[row * count + static_cast<std::size_t>(b)]);
      });
      double sum = 0.0;
      for (std::size_t i = 0; i < chosen; ++i) {
        ASSERT_EQ(found[row * chosen + i], order[i]) << experts << " experts, row " << row;
        sum += static_cast<double>(found_weights[row * chosen + i]);
      }
      EXPECT_NEAR(sum, 1.0, 1e-3);
    }
  }
  EXPECT_EQ(kernels::launch_top_k(nullptr, 1, 2000, 8, nullptr, nullptr, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace gem::test
