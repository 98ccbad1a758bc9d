#include "device/host/host_device.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "device/host/expert_weights.hpp"

namespace gem {
namespace {

constexpr ExpertShape shape{48, 40};
constexpr std::uint64_t seed = 11;

HostDeviceOptions options_of(GemmType type, double slowdown = 1.0) {
  HostDeviceOptions options;
  options.expert = shape;
  options.tile_tokens = 8;
  options.type = type;
  options.slowdown = slowdown;
  options.seed = seed;
  return options;
}

std::vector<ExpertId> experts(std::initializer_list<std::int32_t> numbers) {
  std::vector<ExpertId> ids;
  for (std::int32_t number : numbers) ids.push_back(ExpertId{number});
  return ids;
}

std::vector<float> random_rows(std::size_t rows) {
  std::vector<float> values(rows * shape.hidden_size);
  fill_random_rows(3, values);
  return values;
}

// One row through one expert, in f64 with the f32 weights.
std::vector<double> reference(std::size_t layer, ExpertId expert, std::span<const float> row) {
  const std::size_t hidden = shape.hidden_size, intermediate = shape.intermediate_size;
  std::vector<float> gate(hidden * intermediate), up(hidden * intermediate), down(hidden * intermediate);
  fill_expert_weights(seed, layer, expert, ExpertMatrix::Gate, hidden, gate);
  fill_expert_weights(seed, layer, expert, ExpertMatrix::Up, hidden, up);
  fill_expert_weights(seed, layer, expert, ExpertMatrix::Down, intermediate, down);
  std::vector<double> result(hidden, 0.0);
  for (std::size_t i = 0; i < intermediate; ++i) {
    double g = 0.0, u = 0.0;
    for (std::size_t h = 0; h < hidden; ++h) {
      g += static_cast<double>(row[h]) * static_cast<double>(gate[i * hidden + h]);
      u += static_cast<double>(row[h]) * static_cast<double>(up[i * hidden + h]);
    }
    const double activation = g / (1.0 + std::exp(-g)) * u;
    for (std::size_t h = 0; h < hidden; ++h) result[h] += activation * static_cast<double>(down[h * intermediate + i]);
  }
  return result;
}

class HostDeviceOfType : public testing::TestWithParam<GemmType> {
 protected:
  void SetUp() override {
    try {
      const HostDevice probe(options_of(GetParam()));
    } catch (const UsageError& error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(HostDeviceOfType, AgreesWithADoubleReference) {
  HostDevice device(options_of(GetParam()));
  const std::vector<ExpertId> ids = experts({4, 0, 9});
  device.place_experts(2, ids);
  const std::vector<std::uint32_t> tokens{11, 0, 8};  // two tiles, one of them partly filled; none; one whole tile
  const std::vector<float> input = random_rows(19);
  std::vector<float> output(input.size(), NAN);
  EXPECT_GT(device.compute(2, tokens, input, output), 0.0);
  const double tolerance = GetParam() == GemmType::F32 ? 1e-5 : 1e-2;
  for (std::size_t row = 0; row < 19; ++row) {
    const std::vector<double> expected =
        reference(2, ids[row < 11 ? 0 : 2], std::span(input).subspan(row * shape.hidden_size, shape.hidden_size));
    double error = 0.0, magnitude = 0.0;
    for (std::size_t h = 0; h < shape.hidden_size; ++h) {
      const double difference = static_cast<double>(output[row * shape.hidden_size + h]) - expected[h];
      error += difference * difference;
      magnitude += expected[h] * expected[h];
    }
    EXPECT_LT(std::sqrt(error / magnitude), tolerance) << "row " << row;
  }
}

TEST_P(HostDeviceOfType, AnExpertComputesTheSameWhereverItLives) {
  HostDevice first(options_of(GetParam())), second(options_of(GetParam(), 1.5));
  first.place_experts(0, experts({1, 2}));
  second.place_experts(0, experts({7, 5, 2}));
  const std::vector<float> rows = random_rows(10);
  std::vector<float> with_company(rows.size()), alone(rows.size());
  first.compute(0, std::vector<std::uint32_t>{7, 3}, rows, with_company);
  const std::size_t begin = 7 * shape.hidden_size;
  second.compute(0, std::vector<std::uint32_t>{0, 0, 3}, std::span(rows).subspan(begin),
                 std::span(alone).subspan(begin));
  for (std::size_t i = begin; i < rows.size(); ++i) EXPECT_EQ(with_company[i], alone[i]);
}

INSTANTIATE_TEST_SUITE_P(Types, HostDeviceOfType, testing::Values(GemmType::F32, GemmType::Bf16),
                         [](const auto& parameter) { return to_string(parameter.param); });

TEST(HostDevice, OneTokenCostsAWholeTile) {
  HostDevice device(options_of(GemmType::F32));
  device.place_experts(0, experts({0, 1}));
  const auto work_of = [&](std::vector<std::uint32_t> tokens) {
    const double before = device.flops_done();
    device.time_layer(0, tokens);
    return device.flops_done() - before;
  };
  const double tile = 8.0 * shape.flops_per_token();
  EXPECT_EQ(work_of({1, 0}), tile);
  EXPECT_EQ(work_of({8, 0}), tile);
  EXPECT_EQ(work_of({9, 0}), 2.0 * tile);
  EXPECT_EQ(work_of({8, 1}), 2.0 * tile);
  EXPECT_EQ(work_of({0, 0}), 0.0);
}

TEST(HostDevice, ASlowdownTakesExactlySoMuchMoreTime) {
  const std::vector<std::uint32_t> tokens{300, 100};  // long against a look at the clock
  for (double slowdown : {1.0, 1.05, 1.28, 2.0, 3.7}) {
    HostDevice device(options_of(GemmType::F32, slowdown));
    device.place_experts(0, experts({0, 1}));
    std::vector<double> ratios;
    for (int sample = 0; sample < 31; ++sample) {
      const double seconds = device.time_layer(0, tokens);
      ratios.push_back(seconds / device.own_s());
    }
    EXPECT_GE(std::ranges::min(ratios), slowdown);
    EXPECT_NEAR(median(ratios), slowdown, 0.02 * slowdown);
    EXPECT_EQ(device.description().emulated_slowdown, slowdown);
    EXPECT_EQ(device.description().name.find("emulated") != std::string::npos, slowdown > 1.0);
  }
}

TEST(HostDevice, AnImpossibleSlowdownIsRefused) {
  EXPECT_THROW(HostDevice(options_of(GemmType::F32, 0.9)), UsageError);
  EXPECT_THROW(HostDevice(options_of(GemmType::F32, NAN)), UsageError);
}

TEST(HostDevice, MovesOnlyWhatIsMissing) {
  HostDevice device(options_of(GemmType::F32));
  EXPECT_EQ(device.place_experts(0, experts({0, 1, 2})).moved_bytes, 3 * device.expert_bytes());
  EXPECT_EQ(device.place_experts(0, experts({2, 5, 0})).moved_bytes, device.expert_bytes());
  EXPECT_EQ(device.place_experts(1, experts({2})).moved_bytes, device.expert_bytes()) << "another layer";
  EXPECT_EQ(device.place_experts(0, experts({0, 1})).moved_bytes, device.expert_bytes()) << "what left is gone";
}

TEST(HostDevice, ShortMemoryIsRefused) {
  HostDeviceOptions options = options_of(GemmType::F32);
  options.memory_limit_bytes = 4 * HostDevice(options).expert_bytes();
  HostDevice device(options);
  device.place_experts(0, experts({0, 1, 2}));
  EXPECT_EQ(device.place_experts(0, experts({3, 4, 2})).moved_bytes, 2 * device.expert_bytes());
  std::vector<float> output(3 * shape.hidden_size);
  device.compute(0, std::vector<std::uint32_t>{1, 1, 1}, random_rows(3), output);
  try {
    device.place_experts(1, experts({0, 1}));
    FAIL();
  } catch (const SystemError& error) {
    EXPECT_NE(std::string(error.what()).find("memory"), std::string::npos);
  }
}

TEST(HostDevice, ALoadForOtherSlotsIsRefused) {
  HostDevice device(options_of(GemmType::F32));
  device.place_experts(0, experts({0, 1}));
  EXPECT_THROW(device.time_layer(0, std::vector<std::uint32_t>{1}), DataError);
  EXPECT_THROW(device.time_layer(1, std::vector<std::uint32_t>{1, 1}), DataError);
}

}  // namespace
}  // namespace gem
