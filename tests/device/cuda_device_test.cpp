// The cuda device and its timer; skipped where no GPU is.
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "device/cuda/cuda_moe_device.hpp"
#include "device/cuda/gpu_timer.hpp"
#include "device/decoder_device.hpp"
#include "device/host/expert_weights.hpp"
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

CudaDeviceOptions options_of(double slowdown = 1.0, WeightType type = WeightType::Bf16) {
  CudaDeviceOptions options;
  options.weight_type = type;
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

double relative_error(std::span<const float> found, std::span<const float> expected) {
  double error = 0.0, magnitude = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto difference = static_cast<double>(found[i] - expected[i]);
    error += difference * difference;
    magnitude += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  EXPECT_GT(magnitude, 0.01 * static_cast<double>(expected.size()));
  return std::sqrt(error / magnitude);
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
  std::vector<float> of_bf16;
  for (const WeightType type : {WeightType::Bf16, WeightType::Fp8}) {
    CudaMoeDevice first(options_of(1.0, type)), second(options_of(1.5, type));
    first.place_experts(2, experts({4, 0, 9}));
    second.place_experts(2, experts({9}));
    const std::vector<float> rows = random_rows(19);
    std::vector<float> together(rows.size(), NAN), alone(8 * shape.hidden_size, NAN);
    EXPECT_GT(first.compute(2, std::vector<std::uint32_t>{11, 0, 8}, rows, together), 0.0);
    const std::size_t begin = 11 * shape.hidden_size;
    second.compute(2, std::vector<std::uint32_t>{8}, std::span(rows).subspan(begin), alone);
    EXPECT_LT(relative_error(std::span(together).subspan(begin), alone), 1e-2) << word_of(type);
    for (float value : together) EXPECT_FALSE(std::isnan(value));
    if (type == WeightType::Bf16) {
      of_bf16 = together;
    } else {
      const double quantising = relative_error(together, of_bf16);
      EXPECT_GT(quantising, 0.02) << "fp8 isn't";
      EXPECT_LT(quantising, 0.13);
    }
  }
}

TEST_F(CudaDevice, MovesOnlyWhatIsMissing) {
  for (const WeightType type : {WeightType::Bf16, WeightType::Fp8}) {
    CudaMoeDevice device(options_of(1.0, type));
    const std::size_t expert_bytes = shape.weight_count() * bytes_of(type);
    EXPECT_EQ(device.place_experts(0, experts({0, 1, 2})).moved_bytes, 3 * expert_bytes);
    const std::vector<float> rows = random_rows(5);
    std::vector<float> before(rows.size()), after(rows.size());
    device.compute(0, std::vector<std::uint32_t>{0, 0, 5}, rows, before);
    EXPECT_EQ(device.place_experts(0, experts({2, 5, 0})).moved_bytes, expert_bytes);
    device.compute(0, std::vector<std::uint32_t>{5, 0, 0}, rows, after);
    EXPECT_EQ(before, after) << word_of(type);
  }
}

TEST_F(CudaDevice, AnExpertThatWasSentComputesTheSame) {
  for (const WeightType type : {WeightType::Bf16, WeightType::Fp8}) {
    CudaMoeDevice from(options_of(1.0, type)), to(options_of(1.0, type));
    from.place_experts(0, experts({7, 8}));
    to.place_experts(0, experts({3, 4}));
    std::vector<std::byte> bytes(from.expert_bytes());
    from.read_expert(0, ExpertId{8}, bytes);
    to.reserve_spares(1);
    to.write_spare(0, bytes);
    const std::vector<float> rows = random_rows(5);
    std::vector<float> before(rows.size()), after(rows.size());
    from.compute(0, std::vector<std::uint32_t>{0, 5}, rows, before);
    to.replace(0, ExpertId{3}, ExpertId{8}, 0);
    to.compute(0, std::vector<std::uint32_t>{5, 0}, rows, after);
    EXPECT_EQ(before, after) << word_of(type);
    std::vector<std::byte> again(bytes.size());
    to.read_expert(0, ExpertId{8}, again);
    EXPECT_EQ(bytes, again) << word_of(type);
  }
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

TEST_F(CudaDevice, RunsEveryPartOfADecoderStepInProportionToItsSlowdown) {
  constexpr StepPart parts[] = {StepPart::QueryKeyValue, StepPart::Attention, StepPart::Output, StepPart::Router,
                                StepPart::SharedExperts, StepPart::DenseFfn,  StepPart::Head};
  for (const char* name : {"gpt-oss-20b", "DeepSeek-V2-Lite"}) {
    const DecoderWork work{find_model(known_models(), name), 32, 2048, 1};
    StepPartTimes times[2];
    for (const double slowdown : {1.0, 2.0}) {
      CudaDeviceOptions options = options_of(slowdown);
      options.expert = work.model.expert;
      CudaMoeDevice device(options);
      const auto decoder = device.make_decoder(work);
      StepPartTimes& found = times[slowdown > 1.0 ? 1 : 0];
      for (int i = 0; i < 5; ++i) decoder->time_parts(1, parts, found);
    }
    for (const StepPart part : parts) {
      const double fast = times[0][index_of(part)], slow = times[1][index_of(part)];
      EXPECT_EQ(fast > 0.0, has_part(work, part)) << name << " " << word_of(part);
      if (fast > 0.0) {
        EXPECT_NEAR(slow / fast, 2.0, 0.6) << name << " " << word_of(part);
      }
    }
  }
}

TEST_F(CudaDevice, WhatTheKernelsDontHaveIsRefused) {
  CudaDeviceOptions options = options_of();
  options.tile_tokens = 20;
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of();
  options.weight_type = WeightType::F32;
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of(0.5);
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of(1.0, WeightType::Fp8);
  options.tile_tokens = 256;
  EXPECT_THROW(CudaMoeDevice{options}, UsageError);
  options = options_of(1.0, WeightType::Fp8);
  options.expert = {256, 72};
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
