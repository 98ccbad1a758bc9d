#include "policy/profile_text.hpp"

#include <gtest/gtest.h>

#include "base/error.hpp"
#include "model/latency_profile_fields.hpp"
#include "random_fields.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

LatencyProfile any_profile(std::uint64_t seed) {
  LatencyProfile profile;
  AxisLengths axes;
  const std::pair<const char*, std::size_t> lengths[] = {{"device", 3},       {"point", 5},      {"sample", 2},
                                                         {"one", 1},          {"bend", 2},       {"regime", 1},
                                                         {"regime point", 4}, {"shared load", 2}};
  for (const auto& [axis, length] : lengths) axes.set(axis, length);
  test::fill_randomly(profile, axes, seed);
  for (double& latency_s : profile.median_s.values())
    if (std::isnan(latency_s)) latency_s = 1.0;
  profile.regimes.front().point_count = profile.regime_points.size();
  return profile;
}

// What the text leaves out, left out.
LatencyProfile without_samples(LatencyProfile profile) {
  profile.samples_s = {};
  profile.settled = Matrix<std::uint8_t>(profile.device_count(), profile.points.size(), 1);
  profile.power_w = profile.temperature_c = Matrix<double>(profile.device_count(), profile.points.size(), NAN);
  profile.throttle_reasons = Matrix<std::uint64_t>(profile.device_count(), profile.points.size(), 0);
  return profile;
}

template <class Noun>
void expect_same_fields(Noun found, const Noun& expected) {
  visit_both(found, expected, [](const Field& field, const auto& value, const auto& other) {
    const auto same = [&](const auto& a, const auto& b) {
      if constexpr (ArrayValue<std::remove_cvref_t<decltype(a)>>) {
        ASSERT_EQ(extents_of(a), extents_of(b)) << field.name;
        for (std::size_t i = 0; i < elements_of(a).size(); ++i) {
          const auto& left = elements_of(a)[i];
          const auto& right = elements_of(b)[i];
          if constexpr (std::is_floating_point_v<std::remove_cvref_t<decltype(left)>>)
            EXPECT_TRUE(left == right || (std::isnan(left) && std::isnan(right))) << field.name << " " << i;
          else
            EXPECT_EQ(left, right) << field.name << " " << i;
        }
      } else {
        EXPECT_EQ(a, b) << field.name;
      }
    };
    if constexpr (Encoded<std::remove_cvref_t<decltype(value)>>)
      same(value.get(), other);
    else
      same(value, other);
  });
}

TEST(ProfileText, EveryFieldThatIsKeptComesBack) {
  for (const std::uint64_t seed : {1, 2, 3}) {
    const LatencyProfile profile = any_profile(seed);
    LatencyProfile found = parse_profile_text(profile_text(profile), "text");
    found.samples_s = {};
    expect_same_fields(found, without_samples(profile));
  }
}

void expect_refused(const std::string& text, const std::string& part) {
  try {
    parse_profile_text(text, "profile.json");
    FAIL() << "not refused, but should be for: " << part;
  } catch (const DataError& error) {
    const std::string message = error.what();
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("profile.json"), std::string::npos) << message;
  }
}

std::string with(const std::string& text, const std::string& from, const std::string& to) {
  std::string changed = text;
  const std::size_t at = changed.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return changed.replace(at, from.size(), to);
}

TEST(ProfileText, WhatIsWrongIsNamed) {
  LatencyProfile profile = testing::made_up_profile(2, 2);
  profile.p95_s = profile.median_s;
  const std::string text = profile_text(profile);
  parse_profile_text(text, "profile.json");
  expect_refused("{}", "gem-deploy profile");
  expect_refused("[1]", "gem-deploy profile");
  expect_refused("{\"format\": \"gem.policy_profile\"}", "format_version");
  expect_refused(with(text, "\"format_version\": 1", "\"format_version\": 2"), "format_version");
  expect_refused(with(text, "\"tile_tokens\": 16", "\"tile_tokens\": 0"), "tile_tokens");
  expect_refused(with(text, "\"tile_tokens\": 16", "\"tile_tokens\": 1.5"), "tile_tokens");
  expect_refused(with(text, "/latency/median", "/latency/middle"), "/latency/median");
  expect_refused(with(text, "\"/latency/median\": [[", "\"/latency/median\": [[-1.0, "), "/latency/median");
  expect_refused(with(text, "\"/points/tiles\": [1", "\"/points/tiles\": [\"one\""), "/points/tiles");
  expect_refused(text.substr(0, text.size() / 2), "JSON");
  profile.median_s(0, 0) = NAN;
  expect_refused(profile_text(profile), "unfinished");
}

}  // namespace
}  // namespace gem
