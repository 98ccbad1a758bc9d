// At which pace devices are profiled unless a pace is asked for.
#include <gtest/gtest.h>

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

TEST(ServedWeights, AreNamedWhereOthersAreMeasured) {
  const auto text_for = [](const std::string& model, WeightType type) {
    ProfileRequest request = request_for(model, "simulated");
    request.devices.device_count = 2;
    request.devices.weight_type = type;
    request.max_tokens = 64;
    return describe_plan(request, set_up_profile(request, 1), 1);
  };
  EXPECT_NE(text_for("DeepSeek-V3", WeightType::Bf16).find("served with fp8 weights; bf16 is measured"),
            std::string::npos);
  EXPECT_NE(text_for("gpt-oss-20b", WeightType::Bf16).find("served with mxfp4 weights"), std::string::npos);
  EXPECT_EQ(text_for("DeepSeek-V3", WeightType::Fp8).find("served with"), std::string::npos);
  EXPECT_EQ(text_for("Mixtral-8x7B", WeightType::Bf16).find("served with"), std::string::npos);
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
