#include "device/decoder_device.hpp"

#include <gtest/gtest.h>

#include "device/host/host_device.hpp"
#include "device/simulated/simulated_device.hpp"

namespace gem {
namespace {

constexpr StepPart all_parts[] = {StepPart::QueryKeyValue, StepPart::Attention, StepPart::Output, StepPart::Router,
                                  StepPart::SharedExperts, StepPart::DenseFfn,  StepPart::Head};

// Small, with shared experts and a dense layer.
MoeModel tiny(const std::string& attention) {
  return parse_models(
             "model,hidden_size,moe_intermediate_size,num_layers,moe_layers,routed_experts,top_k,shared_experts,"
             "shared_intermediate_size,attention,query_heads,kv_heads,head_size,query_rank,key_rank,rotary_size,window,"
             "full_every,vocabulary,dense_intermediate_size\n"
             "tiny,64,32,3,2,8,2,1,48," +
                 attention + ",128,96\n",
             "test")
      .front();
}

DecoderWork work_of(const std::string& attention) {
  return {tiny(attention), 4, 64, 1};
}

double sum_of(const StepPartTimes& times) {
  double sum = 0.0;
  for (const double seconds : times) sum += seconds;
  return sum;
}

TEST(HostDecoder, RunsEveryPartOfBothKindsOfAttention) {
  for (const char* attention : {"gqa,8,2,16,0,0,0,16,2", "latent,4,1,16,24,32,8,0,0"}) {
    HostDeviceOptions options;
    options.expert = {64, 32};
    HostDevice device(options);
    const auto decoder = device.make_decoder(work_of(attention));
    StepPartTimes times{};
    decoder->time_parts(1, all_parts, times);
    for (const StepPart part : all_parts) EXPECT_GT(times[index_of(part)], 0.0) << attention << " " << word_of(part);
    for (const StepPart part : {StepPart::Dispatch, StepPart::Experts, StepPart::Combine})
      EXPECT_EQ(times[index_of(part)], 0.0);
  }
}

TEST(HostDecoder, RunsAttentionOfPrefill) {
  for (const char* attention : {"gqa,8,2,16,0,0,0,16,2", "latent,4,1,16,24,32,8,0,0"}) {
    HostDeviceOptions options;
    options.expert = {64, 32};
    HostDevice device(options);
    DecoderWork work = work_of(attention);
    work.prefill = true;
    StepPartTimes times{}, longer{};
    device.make_decoder(work)->time_parts(1, attention_parts, times);
    EXPECT_GT(times[index_of(StepPart::Attention)], 0.0) << attention;
    work.tokens = 64;  // each sees those before it: more than 16 times the pairs
    device.make_decoder(work)->time_parts(1, attention_parts, longer);
    EXPECT_GT(longer[index_of(StepPart::Attention)], 3.0 * times[index_of(StepPart::Attention)]) << attention;
  }
}

TEST(DecoderWork, CountsTheKeysThatATokenSees) {
  DecoderWork work = work_of("gqa,8,2,16,0,0,0,16,2");
  EXPECT_EQ(work.sequences(), 4u);  // decode: one token a sequence, behind its cache
  EXPECT_EQ(work.key_count(), 64u);
  EXPECT_EQ(work.keys_before(3), 64u);
  work.prefill = true;
  EXPECT_EQ(work.sequences(), 1u);  // a chunk of four
  EXPECT_EQ(work.key_count(), 68u);
  EXPECT_EQ(work.keys_before(0), 65u);  // with itself
  EXPECT_EQ(work.keys_before(3), 68u);
}

TEST(HostDecoder, ADeviceWithoutTokensHasNothingToDo) {
  HostDeviceOptions options;
  options.expert = {64, 32};
  HostDevice device(options);
  DecoderWork work = work_of("gqa,8,2,16,0,0,0,0,0");
  work.tokens = 0;
  StepPartTimes times{};
  device.make_decoder(work)->time_parts(0, all_parts, times);
  EXPECT_EQ(sum_of(times), 0.0);
}

TEST(SimulatedDecoder, FollowsTheStatedModel) {
  SimulatedDeviceOptions options;
  options.expert = {2880, 2880};
  SimulatedDevice device(options);
  DecoderWork work{find_model(known_models(), "gpt-oss-20b"), 64, 2048, 1};
  StepPartTimes with_window{}, full{}, twice{};
  device.make_decoder(work)->time_parts(0, attention_parts, with_window);
  device.make_decoder(work)->time_parts(1, attention_parts, full);
  const double cache_bytes = 64.0 * 2048 * 2 * 8 * 64 * 2;
  EXPECT_NEAR(full[index_of(StepPart::Attention)], 1e-6 + cache_bytes / 2.6e12, 1e-9);
  EXPECT_NEAR(with_window[index_of(StepPart::Attention)], 1e-6 + cache_bytes / 16 / 2.6e12, 1e-9);
  work.tokens = 128;
  device.make_decoder(work)->time_parts(1, attention_parts, twice);
  EXPECT_GT(twice[index_of(StepPart::QueryKeyValue)], full[index_of(StepPart::QueryKeyValue)]);
  work.context = 0;
  StepPartTimes prefill{};
  device.make_decoder(work)->time_parts(1, attention_parts, prefill);
  EXPECT_EQ(prefill[index_of(StepPart::Attention)], 0.0);
}

TEST(SimulatedDecoder, AttentionOfPrefillTakesItsArithmetic) {
  SimulatedDeviceOptions options;
  options.expert = {2880, 2880};
  SimulatedDevice device(options);
  DecoderWork work{find_model(known_models(), "gpt-oss-20b"), 2048, 2048, 1};
  work.prefill = true;
  StepPartTimes with_window{}, full{};
  device.make_decoder(work)->time_parts(0, attention_parts, with_window);
  device.make_decoder(work)->time_parts(1, attention_parts, full);
  const double pairs = 2048.0 * 2048.0 + 2048.0 * 2049.0 / 2.0;  // the context's, and of the chunk those before
  const double flops = 2.0 * pairs * 64 * (64 + 64);
  EXPECT_NEAR(full[index_of(StepPart::Attention)], 1e-6 + flops / options.model.flops_per_s, 1e-9);
  // 128 keys a token: reading the rows takes longer than the arithmetic.
  EXPECT_LT(with_window[index_of(StepPart::Attention)], full[index_of(StepPart::Attention)] / 8);
}

TEST(SimulatedDecoder, ASlowDeviceIsSlowWhereItComputes) {
  SimulatedDeviceOptions options;
  options.expert = {2880, 2880};
  const DecoderWork work{find_model(known_models(), "gpt-oss-20b"), 4096, 0, 1};
  StepPartTimes fast{}, slow{};
  SimulatedDevice(options).make_decoder(work)->time_parts(0, all_parts, fast);
  options.slowdown = 1.28;
  SimulatedDevice(options).make_decoder(work)->time_parts(0, all_parts, slow);
  EXPECT_NEAR(sum_of(slow) / sum_of(fast), 1.28, 0.02);
}

}  // namespace
}  // namespace gem
