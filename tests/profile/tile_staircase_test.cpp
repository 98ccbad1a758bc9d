#include "profile/tile_staircase.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"
#include "device/simulated/simulated_device.hpp"

namespace gem {
namespace {

constexpr std::size_t experts = 16, most_rows = 4096;
using Latency = std::function<double(const ProbeLoad&)>;

std::vector<std::uint32_t> tokens_of(const ProbeLoad& load) {
  std::vector<std::uint32_t> tokens(experts, 0);
  for (std::size_t i = 0; i < load.rows; ++i) ++tokens[i % load.active_experts];
  return tokens;
}

// A simulated device whose kernel has these tiles, with memory so fast that they decide.
Latency of_kernel(const std::vector<TileStep>& rule, double noise, std::size_t multiprocessors = 8) {
  SimulatedDeviceOptions options;
  options.expert = {2048, 1408};
  options.tile_rule = rule;
  options.model.weight_bytes_per_s = 3e13;
  options.model.multiprocessors = multiprocessors;
  options.model.noise = noise;
  options.model.outlier_probability = 0.0;
  const auto device = std::make_shared<SimulatedDevice>(options);
  device->place_experts(0, std::vector<ExpertId>(experts));
  device->begin_measurement(1);
  return [device](const ProbeLoad& load) { return device->time_layer(0, tokens_of(load)); };
}

TileProbe probed(const Latency& latency) {
  std::vector<ProbeLoad> loads = probe_loads(experts, most_rows), next = loads;
  std::vector<double> latency_s;
  TileProbe probe;
  for (int round = 0; round < 4 && !next.empty(); ++round) {
    if (round > 0) loads.insert(loads.end(), next.begin(), next.end());
    for (const ProbeLoad& load : next) latency_s.push_back(latency(load));
    probe = find_tiles(loads, latency_s);
    next = border_loads(probe, loads);
  }
  return probe;
}

TEST(TileStaircase, ShowsTheTilesOfAKnownRule) {
  for (const std::vector<TileStep>& rule : {std::vector<TileStep>{{0, 16}},
                                            {{0, 128}},
                                            {{40, 24}, {0, 48}},
                                            {{96, 32}, {0, 64}},
                                            {{200, 64}, {0, 32}},
                                            {{32, 16}, {96, 32}, {512, 64}, {0, 128}}})
    for (const double noise : {0.003, 0.01}) {
      const TileProbe probe = probed(of_kernel(rule, noise));
      EXPECT_EQ(rule_of(probe), rule) << describe_probe(probe);
      EXPECT_NO_THROW(expect_seen(probe, most_rows));
      EXPECT_NEAR(probe.noise, noise, 0.4 * noise);
      for (const ProbedTile& tile : probe.tiles) {
        EXPECT_EQ(tile.treads_broken, 0u);
        if (tile.up_to_rows == 0) continue;
        EXPECT_LE(tile.border_from, tile.up_to_rows);
        EXPECT_GE(tile.border_to, tile.up_to_rows);
      }
    }
}

TEST(TileStaircase, TellsThatWavesHideSteps) {
  // A wave of 132 multiprocessors holds six tiles of one expert.
  const TileProbe probe = probed(of_kernel({{0, 16}}, 0.003, 132));
  ASSERT_EQ(rule_of(probe), (std::vector<TileStep>{{0, 16}}));
  EXPECT_LT(probe.tiles[0].steps_seen, probe.tiles[0].steps);
  EXPECT_NO_THROW(expect_seen(probe, most_rows));
}

TEST(TileStaircase, IsDescribedAndRecorded) {
  const TileProbe probe = probed(of_kernel({{96, 32}, {0, 64}}, 0.003));
  ASSERT_EQ(probe.tiles.size(), 2u);
  EXPECT_NE(describe_probe(probe).find("of 32 up to 96 rows of a device"), std::string::npos);
  EXPECT_EQ(probe_record(probe).text().find("{\"tiles\": [{\"up_to_rows\": 96, \"tile_tokens\": 32"), 0u);
}

// What is said where no staircase is seen.
std::string refusal(const Latency& latency) {
  try {
    expect_seen(probed(latency), most_rows);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(TileStaircase, IsRefusedWhereNoneIsSeen) {
  RandomStream random({3});
  const auto noisy = [&](double seconds) { return seconds * std::exp(0.003 * random.normal()); };
  const auto even = [&](const ProbeLoad& load) { return noisy(1e-6 + 1e-8 * static_cast<double>(load.rows)); };
  const auto memory = [&](const ProbeLoad& load) { return noisy(1e-6 * static_cast<double>(load.active_experts)); };
  const auto seven = [&](const ProbeLoad& load) {
    double tiles = 0.0;
    for (const std::uint32_t tokens : tokens_of(load)) tiles += std::ceil(tokens / 7.0);
    return noisy(1e-6 * tiles);
  };
  for (const Latency& latency : {Latency(even), Latency(memory), Latency(seven)}) {
    const std::string text = refusal(latency);
    EXPECT_EQ(text.find("no staircase of tiles can be seen for 1 to "), 0u) << text;
    EXPECT_NE(text.find("say the tiles with"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace gem
