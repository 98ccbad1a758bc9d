// How far the profile of a pair reaches.
#include <gtest/gtest.h>

#include "batch/profile_stage.hpp"

namespace gem {
namespace {

BatchPair pair_of(const std::string& kind) {
  BatchPair pair;
  pair.profile.model = "gpt-oss-20b";
  pair.profile.devices.kind = kind;
  pair.profile.devices.tile_tokens = 0;
  return pair;
}

TEST(ProfileRequest, ReachesToTheNextPowerOfTwoOfTokensAndTo512) {
  const BatchPair pair = pair_of("simulated");
  EXPECT_EQ(profile_request(pair, {64, 8.0}).tokens_per_step, 512u);
  EXPECT_EQ(profile_request(pair, {513, 64.0}).tokens_per_step, 1024u);
  EXPECT_EQ(profile_request(pair, {8192, 1024.0}).tokens_per_step, 8192u);
  EXPECT_EQ(set_up_profile(profile_request(pair, {8192, 1024.0}), 4).max_tokens, 4u * 8192u);
}

TEST(ProfileRequest, TilesSuitTheMeanOfAnExpert) {
  const BatchPair pair = pair_of(default_device_kind());  // cuda, if this was built with it
  for (double mean : {4.0, 64.0, 1000.0})
    EXPECT_EQ(profile_request(pair, {8192, mean}).devices.tile_tokens, default_tile_tokens(pair.profile.devices, mean));
}

TEST(ProfileRequest, TheManifestHasTheLastWord) {
  BatchPair pair = pair_of("simulated");
  pair.profile.max_tokens = 100;
  pair.profile.devices.tile_tokens = 64;
  pair.mapping.redundant_experts = 4;
  const ProfileSetup setup = set_up_profile(profile_request(pair, {8192, 1024.0}), 4);
  EXPECT_EQ(setup.max_tokens, 100u);
  EXPECT_EQ(setup.devices.tile_tokens, 64u);
  EXPECT_EQ(setup.plan.experts_per_device, 9u);
}

}  // namespace
}  // namespace gem
