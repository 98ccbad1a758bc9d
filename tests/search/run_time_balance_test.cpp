#include "search/run_time_balance.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "mapping/baselines.hpp"
#include "model/expert_copies.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

const std::vector<RedundantCopy> two_copies{{0, 1}, {1, 2}};

std::vector<double> loads_of(const std::vector<ExpertShare>& shares, std::size_t devices) {
  std::vector<double> loads(devices, 0.0);
  for (const ExpertShare& share : shares) loads[static_cast<std::size_t>(share.device)] += share.tokens;
  return loads;
}

std::vector<std::uint32_t> tokens_of(const std::vector<ExpertShare>& shares, std::size_t experts) {
  std::vector<std::uint32_t> tokens(experts, 0);
  for (const ExpertShare& share : shares) tokens[static_cast<std::size_t>(share.expert)] += share.tokens;
  return tokens;
}

TEST(RunTimeBalance, CopiesShareEvenlyBySpeedOrByTheProgram) {
  // Experts 0, 1 and 2 at home on devices 0, 1 and 2; 0 also on 1, 1 also on 2.
  const ExpertHomes homes(std::vector<std::int32_t>{0, 1, 2}, two_copies);
  const std::vector<std::uint32_t> tokens{101, 40, 10};
  const std::vector<double> equal{1, 1, 1};
  EXPECT_EQ(loads_of(split_shares(tokens, homes, equal, CopySplit::Even), 3), (std::vector<double>{51, 70, 30}));
  EXPECT_EQ(loads_of(split_shares(tokens, homes, std::vector<double>{3, 1, 1}, CopySplit::Speed), 3),
            (std::vector<double>{76, 45, 30}));
  // 151 tokens on three equal devices, which the copies can level.
  const auto levelled = loads_of(split_shares(tokens, homes, equal, CopySplit::Lp), 3);
  EXPECT_LE(std::ranges::max(levelled), 51);
  const auto by_speed = loads_of(split_shares(tokens, homes, std::vector<double>{2, 1, 1}, CopySplit::Lp), 3);
  EXPECT_NEAR(by_speed[0], 75.5, 1.0);
  for (const CopySplit split : {CopySplit::Even, CopySplit::Speed, CopySplit::Lp})
    EXPECT_EQ(tokens_of(split_shares(tokens, homes, equal, split), 3), tokens) << "no token is lost";
}

TEST(RunTimeBalance, SharesOfAStepAreHomesOfThatStep) {
  const std::vector<ExpertShare> shares{{0, 1, 7}, {0, 0, 3}, {2, 2, 5, 0}};
  const ExpertHomes homes = homes_of_shares(shares, 3);
  EXPECT_EQ(homes.tokens_on(1, 0, 10), 7u);
  EXPECT_EQ(homes.tokens_on(0, 0, 10), 3u);
  EXPECT_EQ(homes.tokens_on(0, 1, 0), 0u);
  EXPECT_EQ(homes.of(1).size(), 0u);
  EXPECT_EQ(homes.share(2, 0, 5), 5u);
  EXPECT_EQ(at_home(shares).size(), 2u);
}

TEST(RunTimeBalance, CopiesHideUnderWhatIsAtHomeAlone) {
  EXPECT_EQ(seconds_with_copies(10.0, 8.0, 5.0), 10.0);
  EXPECT_EQ(seconds_with_copies(10.0, 8.0, 9.0), 11.0);
  EXPECT_EQ(seconds_with_copies(10.0, 0.0, 9.0), 19.0) << "nothing at home hides it";
}

// The minimum of the fullest device by trying all whole splits of two experts of two copies each.
TEST(RunTimeBalance, TheProgramIsAsGoodAsTryingAllSplits) {
  RandomStream random{5};
  const std::vector<RedundantCopy> copies{{0, 1}, {1, 2}};
  for (int trial = 0; trial < 30; ++trial) {
    const ExpertHomes homes(std::vector<std::int32_t>{0, 1, 2, 2}, copies);
    std::vector<std::uint32_t> tokens;
    for (int e = 0; e < 4; ++e) tokens.push_back(static_cast<std::uint32_t>(random.below(60)));
    const std::vector<double> speeds{1.0, 1.3, 0.8};
    double best = INFINITY;
    for (std::uint32_t a = 0; a <= tokens[0]; ++a)
      for (std::uint32_t b = 0; b <= tokens[1]; ++b)
        best = std::min(best, std::max({a / speeds[0], (tokens[0] - a + b) / speeds[1],
                                        (tokens[1] - b + tokens[2] + tokens[3]) / speeds[2]}));
    const auto loads = loads_of(split_shares(tokens, homes, speeds, CopySplit::Lp), 3);
    double fullest = 0.0;
    for (std::size_t d = 0; d < 3; ++d) fullest = std::max(fullest, loads[d] / speeds[d]);
    EXPECT_LE(fullest, best + 2.0) << "but for the rounding to whole tokens";
  }
}

TEST(RunTimeBalance, OnlineEveryDeviceGetsItsQuotaAndNoTokenIsLost) {
  const LoadTrace trace = testing::made_up_trace(20, 1, 16, 3);
  std::vector<std::int32_t> linear;
  for (std::int32_t e = 0; e < 16; ++e) linear.push_back(e / 2);
  const ExpertHomes homes(linear);
  const std::vector<std::int32_t> nodes{0, 0, 0, 0, 1, 1, 1, 1};
  for (std::size_t t = 0; t < trace.step_count(); ++t) {
    const auto tokens = trace.counts.row(t, 0);
    for (const std::vector<double>& speeds : {std::vector<double>(8, 1.0), {1, 1, 1, 1, 2, 2, 2, 2}}) {
      const auto shares = online_shares(tokens, homes, speeds, nodes);
      EXPECT_EQ(tokens_of(shares, 16), std::vector<std::uint32_t>(tokens.begin(), tokens.end()));
      const auto loads = loads_of(shares, 8);
      double sum_speed = 0.0;
      for (const double speed : speeds) sum_speed += speed;
      for (std::size_t d = 0; d < 8; ++d)
        EXPECT_LE(loads[d], 1.01 * std::ceil(static_cast<double>(row_count(tokens)) * speeds[d] / sum_speed) + 1.0);
      std::set<std::pair<std::int32_t, std::int32_t>> seen;
      for (const ExpertShare& share : shares) {
        EXPECT_TRUE(seen.insert({share.expert, share.device}).second) << "one share a device";
        EXPECT_EQ(share.from < 0, linear[static_cast<std::size_t>(share.expert)] == share.device);
      }
    }
  }
}

TEST(RunTimeBalance, CopiesCostWhatTheirLinksSayBeyondTheComputeThatHidesThem) {
  // All tokens of one step go to expert 0: half of them move to device 1, which has nothing at home to hide behind.
  LatencyProfile profile = testing::made_up_profile(2, 2, 1.0);
  profile.topology = stated_topology({.nodes = 2, .inside_gb_per_s = 100, .across_gb_per_s = 10}, {}, 2);
  LoadTrace trace = testing::made_up_trace(1, 1, 2, 1);
  trace.counts(0, 0, 0) = 640;
  trace.counts(0, 0, 1) = 0;
  const CostModel model(profile, {.across_nodes = AcrossNodes::Off});
  const Mapping homes = linear_mapping(trace, 2);
  const double half_s = model.stage(profiled_stage).seconds(0, {20, 1, 320});
  const OnlineScore online = score_online(model, trace, homes, profile.topology, 1e6, Quota::Equal);
  EXPECT_EQ(online.copies, 1.0);
  EXPECT_NEAR(online.copy_s, 5e-6 + 1e6 / 10e9, 1e-12);
  EXPECT_NEAR(online.score.mean_s, half_s + online.copy_s, 1e-9);
  EXPECT_NEAR(online.exposed_s, online.copy_s, 1e-9);
  // To three devices of two other nodes it is passed on: the sender sends once, and each node gets it once.
  LatencyProfile six = testing::made_up_profile(6, 2, 1.0);
  six.topology = stated_topology({.nodes = 3, .inside_gb_per_s = 100, .across_gb_per_s = 10}, {}, 6);
  LoadTrace hot = testing::made_up_trace(1, 1, 6, 1);
  for (std::size_t e = 0; e < 6; ++e) hot.counts(0, 0, e) = e == 0 ? 960 : 0;
  const OnlineScore passed_on = score_online(CostModel(six, {.across_nodes = AcrossNodes::Off}), hot,
                                             linear_mapping(hot, 6), six.topology, 1e6, Quota::Equal);
  EXPECT_EQ(passed_on.copies, 5.0);
  EXPECT_NEAR(passed_on.copy_s, 5e-6 + 1e6 / 10e9, 1e-12);
  // With work at home on the receiver the copy hides.
  trace.counts(0, 0, 1) = 480;
  const OnlineScore hidden = score_online(model, trace, homes, profile.topology, 1e5, Quota::Equal);
  EXPECT_EQ(hidden.exposed_s, 0.0);
  EXPECT_LT(hidden.score.mean_s, model.stage(profiled_stage).seconds(0, {40, 1, 640}));
}

}  // namespace
}  // namespace gem
