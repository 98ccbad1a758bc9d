#include "mapping/measured_range.hpp"

#include <gtest/gtest.h>

namespace gem {
namespace {

// Two devices with two experts each were measured up to 6 tiles of 16 tokens.
LatencyProfile small_profile() {
  LatencyProfile profile;
  profile.tile_tokens = 16;
  profile.experts_per_device = 2;
  profile.devices.resize(2);
  profile.points = {{1, 1, 16}, {2, 2, 32}, {6, 2, 96}};
  return profile;
}

// One layer, 4 experts; the first expert gets `tokens` in the second of two steps.
LoadTrace trace_with(std::uint32_t tokens) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(2, 1, 4, 16);
  trace.counts(1, 0, 0) = tokens;
  return trace;
}

Mapping pairs() {
  Mapping mapping;
  mapping.device_count = 2;
  mapping.expert_to_device = Matrix<std::int32_t>(1, 4);
  for (std::size_t expert = 0; expert < 4; ++expert)
    mapping.expert_to_device(0, expert) = static_cast<std::int32_t>(expert / 2);
  return mapping;
}

TEST(MeasuredRange, LoadsUpToTheLastPointNeedNoNote) {
  EXPECT_EQ(describe_beyond_measured(small_profile(), trace_with(5 * 16), pairs()), "");
  EXPECT_EQ(share_beyond_measured(small_profile(), trace_with(5 * 16), pairs()), 0.0);
}

TEST(MeasuredRange, LargerLoadsAreExtrapolatedAndSaidToBe) {
  const std::string note = describe_beyond_measured(small_profile(), trace_with(5 * 16 + 1), pairs());
  EXPECT_NE(note.find("25 % of the loads"), std::string::npos) << note;  // one of two steps on two devices
  EXPECT_EQ(share_beyond_measured(small_profile(), trace_with(5 * 16 + 1), pairs()), 0.25);
  EXPECT_NE(note.find("up to 7 tiles"), std::string::npos) << note;
  EXPECT_NE(note.find("--max-tokens 97\n"), std::string::npos) << note;
}

TEST(MeasuredRange, MoreExpertsThanMeasuredAreExtrapolatedAndSaidToBe) {
  Mapping mapping = pairs();
  mapping.redundant = Matrix<RedundantCopy>(1, 2);
  mapping.redundant(0, 0) = {0, 1};
  mapping.redundant(0, 1) = {2, 0};
  const std::string note = describe_beyond_measured(small_profile(), trace_with(16), mapping);
  EXPECT_NE(note.find("up to 3 experts"), std::string::npos) << note;
  EXPECT_NE(note.find("--experts-per-device 3\n"), std::string::npos) << note;
}

}  // namespace
}  // namespace gem
