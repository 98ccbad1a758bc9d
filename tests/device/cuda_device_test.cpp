// The cuda device and its timer; skipped where no GPU is.
#include <gtest/gtest.h>

#include <cmath>
#include <span>
#include <string>
#include <vector>

#include "base/bf16.hpp"
#include "base/error.hpp"
#include "base/statistics.hpp"
#include "device/cuda/cuda_moe_device.hpp"
#include "device/cuda/gpu_timer.hpp"
#include "device/decoder_device.hpp"
#include "device/host/expert_weights.hpp"
#include "kernels/spin.hpp"
#include "platform/gpu/prefill_attention.hpp"

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

// softmax(scale Q K^T) V of a chunk on the host, in the order of PrefillAttention's buffers.
std::vector<float> attended_on_host(const PrefillAttentionShape& attention, std::span<const float> query,
                                    std::span<const float> keys, std::span<const float> values) {
  const std::size_t ks = attention.key_size, vs = attention.value_size;
  std::vector<float> out(attention.tokens * attention.query_heads * vs, 0.0f);
  for (std::size_t t = 0; t < attention.tokens; ++t)
    for (std::size_t h = 0; h < attention.query_heads; ++h) {
      const std::size_t kv = h / (attention.query_heads / attention.kv_heads);
      const std::size_t end = attention.keys - attention.tokens + t + 1;
      const std::size_t first = attention.window > 0 && end > attention.window ? end - attention.window : 0;
      const float* q = &query[(t * attention.query_heads + h) * ks];
      float* o = &out[(t * attention.query_heads + h) * vs];
      float sum = 0.0f;
      for (std::size_t k = first; k < end; ++k) {
        const float* key = &keys[(k * attention.kv_heads + kv) * ks];
        float score = 0.0f;
        for (std::size_t i = 0; i < ks; ++i) score += q[i] * key[i];
        const float weight = std::exp(attention.scale * score);
        sum += weight;
        for (std::size_t i = 0; i < vs; ++i) o[i] += weight * values[(k * attention.kv_heads + kv) * vs + i];
      }
      for (std::size_t i = 0; i < vs; ++i) o[i] /= sum;
    }
  return out;
}

// Random values as bf16 holds them, and these on the GPU.
std::vector<float> random_bf16(std::size_t count, std::uint64_t seed, DeviceBuffer<std::uint16_t>& on_gpu,
                               cudaStream_t stream) {
  std::vector<float> values(count);
  fill_random_rows(seed, values);
  std::vector<std::uint16_t> bits(count);
  for (std::size_t i = 0; i < count; ++i) {
    bits[i] = to_bf16(values[i]);
    values[i] = from_bf16(bits[i]);
  }
  on_gpu.upload(bits, stream);
  return values;
}

TEST_F(CudaDevice, AttentionOfPrefillIsThatOfTheHost) {
  if (!has_prefill_attention()) GTEST_SKIP() << cudnn_state();
  // Grouped behind a cache, with a window, without a cache, and expanded latent attention.
  for (const PrefillAttentionShape& attention : {PrefillAttentionShape{192, 448, 8, 2, 64, 64, 0, 0.125f},
                                                 PrefillAttentionShape{192, 448, 8, 2, 64, 64, 128, 0.125f},
                                                 PrefillAttentionShape{256, 256, 4, 4, 128, 128, 0, 0.0884f},
                                                 PrefillAttentionShape{192, 448, 4, 4, 192, 128, 0, 0.0722f}}) {
    CudaStream stream;
    DeviceBuffer<std::uint16_t> query, keys, values;
    const std::vector<float> q =
        random_bf16(attention.tokens * attention.query_heads * attention.key_size, 1, query, stream.handle());
    const std::vector<float> k =
        random_bf16(attention.keys * attention.kv_heads * attention.key_size, 2, keys, stream.handle());
    const std::vector<float> v =
        random_bf16(attention.keys * attention.kv_heads * attention.value_size, 3, values, stream.handle());
    const std::vector<float> expected = attended_on_host(attention, q, k, v);
    DeviceBuffer<std::uint16_t> output(expected.size());
    make_prefill_attention(stream, attention)->enqueue(query.data(), keys.data(), values.data(), output.data());
    std::vector<std::uint16_t> bits(expected.size());
    output.download(bits, stream.handle());
    double error = 0.0, magnitude = 0.0;
    for (std::size_t i = 0; i < bits.size(); ++i) {
      error += std::pow(from_bf16(bits[i]) - expected[i], 2);
      magnitude += std::pow(expected[i], 2);
    }
    EXPECT_LT(std::sqrt(error / magnitude), 0.01) << attention.key_size << ", window " << attention.window;
  }
}

TEST_F(CudaDevice, RunsAttentionOfPrefillWhereCudnnIs) {
  for (const char* name : {"gpt-oss-20b", "DeepSeek-V2-Lite"}) {
    DecoderWork work{find_model(known_models(), name), 512, has_prefill_attention() ? 2048u : 0u, 1};
    work.prefill = true;
    CudaDeviceOptions options = options_of();
    options.expert = work.model.expert;
    CudaMoeDevice device(options);
    const auto decoder = device.make_decoder(work);
    StepPartTimes times{};
    for (int i = 0; i < 3; ++i) decoder->time_parts(1, attention_parts, times);
    EXPECT_EQ(times[index_of(StepPart::Attention)] > 0.0, has_prefill_attention()) << name;
    EXPECT_GT(times[index_of(StepPart::QueryKeyValue)], 0.0) << name;
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
