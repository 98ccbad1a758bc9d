// Permutation and its inverse against the host.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "kernels/device_buffer.hpp"
#include "kernels/permute.hpp"

namespace gem::test {
namespace {

struct Routed {
  std::vector<std::int32_t> row_map;  // [token, choice], experts one after the other; -1 for another device's
  std::int32_t row_count = 0;
};

Routed route(const std::vector<std::int32_t>& ids, int experts) {
  Routed result;
  std::vector<std::int32_t> next(static_cast<std::size_t>(experts));
  for (int expert = 0; expert < experts; ++expert) {
    next[static_cast<std::size_t>(expert)] = result.row_count;
    result.row_count += static_cast<std::int32_t>(std::count(ids.begin(), ids.end(), expert));
  }
  for (const std::int32_t id : ids)
    result.row_map.push_back(id >= 0 && id < experts ? next[static_cast<std::size_t>(id)]++ : -1);
  return result;
}

class Permute : public ::testing::TestWithParam<std::tuple<int, int, int, int>> {};

TEST_P(Permute, RoundTripMatchesHost) {
  if (!gpu_present()) GTEST_SKIP() << "no GPU";
  const auto [tokens, top_k, experts, hidden] = GetParam();
  const auto pairs = static_cast<std::size_t>(tokens * top_k);
  const auto width = static_cast<std::size_t>(hidden);
  std::mt19937 random(static_cast<unsigned>(tokens + experts));
  std::vector<std::int32_t> ids(pairs);
  std::vector<float> weights(pairs);
  // From -1 (another device's) to one expert that never gets a token.
  for (auto& id : ids) id = std::uniform_int_distribution<std::int32_t>(-1, experts - 2)(random);
  for (auto& weight : weights) weight = std::uniform_real_distribution<float>(0, 1)(random);
  std::vector<std::uint16_t> input(static_cast<std::size_t>(tokens) * width);
  for (auto& value : input) value = to_bf16(std::normal_distribution<float>()(random));

  const Routed routed = route(ids, experts);
  const DeviceBuffer<float> device_weights(weights);
  const DeviceBuffer<std::uint16_t> device_input(input);
  const DeviceBuffer<std::int32_t> row_map(routed.row_map);
  const DeviceBuffer<std::uint16_t> permuted(pairs * width);
  const DeviceBuffer<std::uint16_t> output(input.size());
  check(kernels::launch_permute(device_input.get(), row_map.get(), tokens, top_k, hidden, permuted.get(), nullptr),
        "permute");
  check(kernels::launch_unpermute(permuted.get(), row_map.get(), device_weights.get(), tokens, top_k, hidden,
                                  output.get(), nullptr),
        "unpermute");
  check(cudaDeviceSynchronize(), "run");

  const std::vector<std::uint16_t> rows = permuted.host();
  const std::vector<std::uint16_t> sums = output.host();
  std::size_t wrong_copies = 0;
  double wrong = 0;
  double right = 0;
  for (std::size_t t = 0; t < static_cast<std::size_t>(tokens); ++t)
    for (std::size_t h = 0; h < width; ++h) {
      double sum = 0;
      for (std::size_t p = t * static_cast<std::size_t>(top_k); p < (t + 1) * static_cast<std::size_t>(top_k); ++p) {
        if (routed.row_map[p] < 0) continue;
        const auto row = static_cast<std::size_t>(routed.row_map[p]);
        wrong_copies += rows[row * width + h] != input[t * width + h];
        sum += static_cast<double>(weights[p]) * static_cast<double>(from_bf16(input[t * width + h]));
      }
      const double difference = static_cast<double>(from_bf16(sums[t * width + h])) - sum;
      wrong += difference * difference;
      right += sum * sum;
    }
  EXPECT_EQ(wrong_copies, 0u);
  EXPECT_LE(std::sqrt(wrong), 5e-3 * std::sqrt(right));
  const auto used = static_cast<std::size_t>(routed.row_count) * width;
  for (std::size_t i = used; i < rows.size(); ++i) ASSERT_EQ(rows[i], kPoison) << "element " << i;
}

INSTANTIATE_TEST_SUITE_P(Sizes, Permute,
                         ::testing::Values(std::tuple{1, 1, 2, 8}, std::tuple{1, 8, 128, 2048},
                                           std::tuple{257, 4, 32, 2880}, std::tuple{1000, 6, 64, 512},
                                           std::tuple{300, 2, 9, 4096}));

TEST(PermuteArguments, RejectsWhatItCannotServe) {
  EXPECT_EQ(kernels::launch_permute(nullptr, nullptr, 1, 1, 12, nullptr, nullptr), cudaErrorInvalidValue);
  EXPECT_EQ(kernels::launch_unpermute(nullptr, nullptr, nullptr, 1, 0, 8, nullptr, nullptr), cudaErrorInvalidValue);
}

}  // namespace
}  // namespace gem::test
