// The cuda device and its timer; skipped where no GPU is.
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "device/cuda_moe_device.hpp"
#include "device/expert_weights.hpp"
#include "device/gpu_timer.hpp"
#include "kernels/spin.hpp"

namespace gem {
namespace {

constexpr ExpertShape shape{256, 128};

class CudaDevice : public testing::Test {
 protected:
  void SetUp() override {
    int count = 0;
    if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) GTEST_SKIP() << "no GPU";
  }
};

CudaDeviceOptions options_of(double slowdown = 1.0) {
  CudaDeviceOptions options;
  options.expert = shape;
  options.tile_tokens = 16;
  options.slowdown = slowdown;
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

// The instrument against a kernel of known duration.
TEST_F(CudaDevice, TheTimerRecoversAKnownDuration) {
  const CudaStream stream;
  GpuTimer timer;
  for (const std::int64_t duration_ns : {500'000, 2'000'000}) {
    std::vector<double> samples_s;
    for (int i = 0; i < 21; ++i)
      samples_s.push_back(
          timer.seconds(stream, [&] { check_cuda(kernels::launch_spin(duration_ns, stream.handle()), "spinning"); }));
    EXPECT_NEAR(median(samples_s) / (static_cast<double>(duration_ns) * 1e-9), 1.0, 0.01) << duration_ns << " ns";
  }
}

TEST_F(CudaDevice, TheTimerAddsLittle) {
  const CudaStream stream;
  GpuTimer timer;
  std::vector<double> samples_s;
  for (int i = 0; i < 21; ++i) samples_s.push_back(timer.seconds(stream, [] {}));
  EXPECT_LT(median(samples_s), 5e-6);
}

TEST_F(CudaDevice, AnExpertComputesTheSameWhereverItLives) {
  CudaMoeDevice first(options_of()), second(options_of(1.5));
  first.place_experts(2, experts({4, 0, 9}));
  second.place_experts(2, experts({9}));
  const std::vector<float> rows = random_rows(19);
  std::vector<float> together(rows.size(), NAN), alone(8 * shape.hidden_size, NAN);
  EXPECT_GT(first.compute(2, std::vector<std::uint32_t>{11, 0, 8}, rows, together), 0.0);
  const std::size_t begin = 11 * shape.hidden_size;
  second.compute(2, std::vector<std::uint32_t>{8}, std::span(rows).subspan(begin), alone);
  double error = 0.0, magnitude = 0.0;
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const auto difference = static_cast<double>(together[begin + i] - alone[i]);
    error += difference * difference;
    magnitude += static_cast<double>(alone[i]) * static_cast<double>(alone[i]);
  }
  EXPECT_GT(magnitude, 0.01 * static_cast<double>(alone.size()));
  EXPECT_LT(std::sqrt(error / magnitude), 1e-2);
  for (float value : together) EXPECT_FALSE(std::isnan(value));
}

TEST_F(CudaDevice, MovesOnlyWhatIsMissing) {
  CudaMoeDevice device(options_of());
  const std::size_t expert_bytes = shape.weight_count() * 2;
  EXPECT_EQ(device.place_experts(0, experts({0, 1, 2})).moved_bytes, 3 * expert_bytes);
  EXPECT_EQ(device.place_experts(0, experts({2, 5, 0})).moved_bytes, expert_bytes);
}

TEST_F(CudaDevice, ASlowdownIsInProportion) {
  CudaMoeDevice device(options_of()), slow(options_of(2.0));
  const std::vector<std::uint32_t> load{4096, 4096};
  std::vector<double> own_s, slow_s;
  device.place_experts(0, experts({0, 1}));
  slow.place_experts(0, experts({0, 1}));
  for (int i = 0; i < 30; ++i) {
    own_s.push_back(device.time_layer(0, load));
    slow_s.push_back(slow.time_layer(0, load));
  }
  EXPECT_NEAR(median(slow_s) / median(own_s), 2.0, 0.1);
  EXPECT_NE(slow.description().name.find("emulated x2"), std::string::npos);
}

TEST_F(CudaDevice, WhatTheKernelsDontHaveIsRefused) {
  CudaDeviceOptions options = options_of();
  options.tile_tokens = 20;
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of();
  options.weight_dtype = "f32";
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of(0.5);
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of();
  options.expert = {250, 128};
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  CudaMoeDevice device(options_of());
  EXPECT_THROW(device.time_layer(0, std::vector<std::uint32_t>{1}), Error);
  options = options_of();
  options.expert = {1 << 16, 1 << 16};
  CudaMoeDevice large(options);
  EXPECT_THROW(large.place_experts(0, std::vector<ExpertId>(64)), SystemError) << "1.5 TiB";
}

}  // namespace
}  // namespace gem
