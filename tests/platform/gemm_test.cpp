#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "platform/host/gemm.hpp"

namespace gem {
namespace {

std::vector<float> random_values(std::size_t count, std::uint64_t stream) {
  RandomStream random({7, stream});
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(random.normal());
  return values;
}

class GemmOfType : public testing::TestWithParam<GemmType> {
 protected:
  void SetUp() override {
    use_one_gemm_thread();
    try {
      const Gemm probe(1, 8, 8, GetParam());
    } catch (const UsageError& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(GemmOfType, AgreesWithADoubleSum) {
  const std::size_t m = 5, n = 24, k = 40;
  const std::vector<float> a = random_values(m * k, 1), b = random_values(n * k, 2);
  Gemm gemm(m, n, k, GetParam());
  const Gemm::Weights weights = gemm.pack(b);
  std::vector<std::byte> elements(m * k * element_bytes(GetParam()));
  store_elements(a, GetParam(), elements.data());
  std::vector<float> c(m * n, -1.0f);
  gemm.multiply(elements.data(), weights, c.data());
  const double tolerance = GetParam() == GemmType::F32 ? 1e-6 : 5e-3;
  for (std::size_t i = 0; i < m; ++i)
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0.0, magnitude = 0.0;
      for (std::size_t l = 0; l < k; ++l) {
        const double term = static_cast<double>(a[i * k + l]) * static_cast<double>(b[j * k + l]);
        sum += term;
        magnitude += std::abs(term);
      }
      EXPECT_NEAR(static_cast<double>(c[i * n + j]), sum, tolerance * magnitude) << i << ", " << j;
    }
  EXPECT_EQ(gemm.flops(), 2.0 * 5 * 24 * 40);
  EXPECT_GE(gemm.packed_bytes(), n * k * element_bytes(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(Types, GemmOfType, testing::Values(GemmType::F32, GemmType::Bf16),
                         [](const auto& parameter) { return to_string(parameter.param); });

TEST(GemmElements, Bf16RoundsToNearestEven) {
  const std::vector<float> values{1.0f, 1.0f + 0x1.0p-8f, 1.0f + 0x1.8p-7f, -2.5f, 1.0f + 0x1.01p-8f};
  std::vector<std::uint16_t> stored(values.size());
  store_elements(values, GemmType::Bf16, reinterpret_cast<std::byte*>(stored.data()));
  EXPECT_EQ(stored, (std::vector<std::uint16_t>{0x3f80, 0x3f80, 0x3f82, 0xc020, 0x3f81}));
}

}  // namespace
}  // namespace gem
