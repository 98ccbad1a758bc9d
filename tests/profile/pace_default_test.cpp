// At which pace devices are profiled unless a pace is asked for.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "base/option.hpp"
#include "model/moe_model.hpp"
#include "profile/profile_job.hpp"

namespace gem {
namespace {

ProfileRequest request_for(const std::string& model, const std::string& kind) {
  ProfileRequest request;
  request.model = model;
  request.devices.kind = kind;
  return request;
}

Pace pace_of(const ProfileRequest& request) {
  return pace_of(request, model_of_option(request.model));
}

TEST(PaceDefault, IsThatOfServingOnGpusOfTheirOwn) {
  ProfileRequest gpus = request_for("gpt-oss-20b", "cuda");
  EXPECT_EQ(pace_of(gpus), Pace::Serving);
  gpus.devices.share_gpu = GpuSharing::Turns;
  EXPECT_EQ(pace_of(gpus), Pace::Busy) << "not seen to be better in turns";
  for (const char* kind : {"host", "simulated", "command"})
    EXPECT_EQ(pace_of(request_for("gpt-oss-20b", kind)), Pace::Busy) << kind;
  EXPECT_EQ(pace_of(request_for("Qwen3-Next-80B-A3B", "cuda")), Pace::Busy) << "its attention is unknown";
}

TEST(PaceDefault, GivesWayToWhatIsAskedFor) {
  ProfileRequest gpus = request_for("gpt-oss-20b", "cuda"), host = request_for("gpt-oss-20b", "host");
  gpus.pace = Pace::Busy;
  host.pace = Pace::Serving;
  EXPECT_EQ(pace_of(gpus), Pace::Busy);
  EXPECT_EQ(pace_of(host), Pace::Serving);
  host.expert_shape = "64x32";
  host.max_tokens = 64;
  EXPECT_EQ(set_up_profile(host, 2).plan.pace, "serving");
  host.pace.reset();
  const ProfileSetup setup = set_up_profile(host, 2);
  EXPECT_EQ(setup.plan.pace, "");
  EXPECT_FALSE(setup.sweep.measurement.paced);
}

TEST(PaceDefault, OneOfFourDevicesHasItsShareOfAStep) {
  ProfileRequest one = request_for("gpt-oss-20b", "host");
  one.pace = Pace::Serving;
  one.experts_per_device = 8;
  const ProfileSetup setup = set_up_profile(one, 1);
  ASSERT_TRUE(setup.sweep.measurement.paced);
  const PacedStep& step = *setup.sweep.measurement.paced;
  EXPECT_EQ(step.tokens, std::vector<std::uint32_t>(8, 512 * 4 / 32));
  ASSERT_TRUE(step.attention);
  EXPECT_EQ(step.attention->tokens, 128u);
}

TEST(PaceDefault, TheCacheOfManySequencesIsBounded) {
  ProfileRequest request = request_for("gpt-oss-20b", "host");
  request.pace = Pace::Serving;
  request.tokens_per_step = 16384;
  const ProfileSetup setup = set_up_profile(request, 2);
  EXPECT_EQ(setup.sweep.measurement.paced->attention->tokens, (std::size_t{1} << 20) / 2048);
}

TEST(PaceDefault, SaysWhyGpusAreKeptBusyWhereAttentionIsUnknown) {
  ProfileRequest request = request_for("Qwen3-Next-80B-A3B", "simulated");
  request.devices.device_count = 2;
  request.max_tokens = 64;
  ProfileSetup setup = set_up_profile(request, 2);
  EXPECT_EQ(describe_plan(request, setup, 2).find("is unknown"), std::string::npos) << "no GPUs";
  request.devices.kind = setup.devices.kind = "cuda";
  const std::string text = describe_plan(request, setup, 2);
  EXPECT_NE(text.find("note: busy GPUs are slower than serving ones"), std::string::npos) << text;
  EXPECT_NE(text.find("Qwen3-Next-80B-A3B"), std::string::npos) << text;
  request.pace = Pace::Busy;
  EXPECT_EQ(describe_plan(request, setup, 2).find("is unknown"), std::string::npos) << "as asked for";
}

ProfileRequest weights_request(const std::string& model, const std::string& kind) {
  ProfileRequest request = request_for(model, kind);
  if (kind == "simulated") request.devices.device_count = 2;
  if (kind == "command") request.devices.command = "true";
  request.experts_per_device = 2;
  request.max_tokens = 64;
  return request;
}

// What is measured, and the note about it, without line breaks.
std::pair<WeightType, std::string> weights_of(const ProfileRequest& request) {
  const ProfileSetup setup = set_up_profile(request, 1);
  std::string text = describe_plan(request, setup, 1);
  std::ranges::replace(text, '\n', ' ');
  EXPECT_EQ(setup.plan.weight_dtype, word_of(setup.devices.weight_type));
  const std::size_t at = text.find("note: this model is served with ");
  return {setup.devices.weight_type,
          at == std::string::npos ? "" : text.substr(at, text.find(" is measured", at) - at)};
}

TEST(ServedWeights, AreMeasuredWhereTheDevicesHaveThem) {
  for (const char* model : {"DeepSeek-V3", "Kimi-K2", "MiniMax-M2"})
    for (const char* kind : {"simulated", "command"})
      EXPECT_EQ(weights_of(weights_request(model, kind)), std::pair(WeightType::Fp8, std::string())) << model << kind;
  for (const char* model : {"Mixtral-8x7B", "Qwen3-30B-A3B", "deepseek-v2-lite"})
    EXPECT_EQ(weights_of(weights_request(model, "simulated")), std::pair(WeightType::Bf16, std::string())) << model;
}

TEST(ServedWeights, GiveWayToOthersAndItIsSaidWhy) {
  const auto check = [](const ProfileRequest& request, WeightType type, const std::string& note) {
    const auto [chosen, text] = weights_of(request);
    EXPECT_EQ(chosen, type) << note;
    EXPECT_NE(text.find(note), std::string::npos) << text;
  };
  check(weights_request("gpt-oss-20b", "simulated"), WeightType::Bf16, "mxfp4 weights, but no device here has them");
  ProfileRequest host = weights_request("DeepSeek-V3", "host");
  host.expert_shape = "64x32";
  check(host, WeightType::Bf16, "served with fp8 weights, but processors don't multiply them: bf16");
  check(weights_request("gpt-oss-20b", "command"), WeightType::Bf16, "mxfp4 weights, but no device here has them");
  ProfileRequest told = weights_request("DeepSeek-V3", "simulated");
  told.devices.asked_weight_type = WeightType::F32;
  check(told, WeightType::F32, "but --dtype says otherwise: f32");
  ProfileRequest program = weights_request("DeepSeek-V3", "command");
  program.devices.asked_weight_type = WeightType::Bf16;
  check(program, WeightType::Bf16, "but --dtype says otherwise: bf16");
}

TEST(ServedWeights, AreThoseOfGpusWhereTheirKernelsTakeThem) {
  const MoeModel model = model_of_option("DeepSeek-V3");
  DeviceOptions gpus{.kind = "cuda", .expert = model.expert, .tile_tokens = 0};
  choose_weights(gpus, model);
  EXPECT_EQ(gpus.weight_type, WeightType::Fp8);
  EXPECT_EQ(why_other_weights(gpus, model.weight_dtype), "");
  gpus.tile_tokens = 256;
  choose_weights(gpus, model);
  EXPECT_EQ(gpus.weight_type, WeightType::Bf16);
  EXPECT_EQ(why_other_weights(gpus, model.weight_dtype), "tiles of more than 128 tokens are of bf16");
  gpus.tile_tokens = 64;
  gpus.expert = {512, 200};
  choose_weights(gpus, model);
  EXPECT_EQ(gpus.weight_type, WeightType::Bf16);
  EXPECT_NE(why_other_weights(gpus, model.weight_dtype).find("multiples of 128"), std::string::npos);
}

TEST(UnevenPoints, AreThoseOfProgramsAlone) {
  ProfileRequest request = request_for("gpt-oss-20b", "command");
  request.devices.command = "true";
  const ProfileSetup setup = set_up_profile(request, 2);
  EXPECT_GT(setup.sweep.uneven_ways, 1u);
  EXPECT_NE(describe_plan(request, setup, 2).find("spread unevenly, in "), std::string::npos);
  request.naive = true;
  EXPECT_EQ(set_up_profile(request, 2).sweep.uneven_ways, 0u) << "which has even loads";
  const ProfileRequest host = request_for("gpt-oss-20b", "host");
  EXPECT_EQ(set_up_profile(host, 2).sweep.uneven_ways, 0u);
}

TEST(PaceDefault, IsToldByHelp) {
  ProfileRequest request;
  OptionList options;
  describe(options, request);
  EXPECT_EQ(options.find("pace")->value(), "") << "whatever the devices, nothing was asked for";
  EXPECT_NE(options.find("pace")->default_text().find("serving on cuda devices"), std::string::npos);
}

}  // namespace
}  // namespace gem
