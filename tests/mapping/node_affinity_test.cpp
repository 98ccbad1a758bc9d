#include "mapping/node_affinity.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"
#include "mapping/best_copies.hpp"
#include "mapping/mapping_answer.hpp"
#include "mapping/shared_experts.hpp"
#include "search/random_problem.hpp"
#include "workload/pair_counting.hpp"

namespace gem {
namespace {

// Experts e and e + 4 of 8 are used together by each token of two experts.
Routing twins() {
  Routing routing;
  routing.task = "twins";
  routing.expert_count = 8;
  routing.top_k = 2;
  routing.layer_ids = {0};
  routing.request_offsets = {0, 400};
  RandomStream random{7};
  for (std::size_t token = 0; token < 400; ++token) {
    const auto expert = static_cast<std::uint16_t>(random.below(4));
    routing.topk_ids.push_back(expert);
    routing.topk_ids.push_back(static_cast<std::uint16_t>(expert + 4));
  }
  return routing;
}

MappingQuestion question_of(const Routing& routing) {
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8, 1.0);
  question.profile.expert = {4096, 64};
  question.profile.topology = {"stated", {0, 0, 1, 1}, {{1e-6, 100e9}, {1e-6, 1e9}}};
  question.train.top_k = 2;
  question.train.tokens_per_step = 100;
  question.train.layer_ids = {0};
  question.train.counts = Cube<std::uint32_t>(4, 1, 8);
  for (std::size_t token = 0; token < 400; ++token)
    for (const std::uint16_t expert : routing.experts(token, 0)) ++question.train.counts(token / 100, 0, expert);
  question.search.iterations = 0;
  return question;
}

// Neighbours together: experts 0 to 3 on node 0, their twins on node 1.
Mapping linear_of(const MappingQuestion& question) {
  Mapping mapping;
  mapping.method = "linear";
  mapping.device_count = 4;
  mapping.layer_ids = question.train.layer_ids;
  mapping.expert_to_device = Matrix<std::int32_t>(1, 8);
  for (std::int32_t expert = 0; expert < 8; ++expert)
    mapping.expert_to_device(0, static_cast<std::size_t>(expert)) = expert / 2;
  return mapping;
}

TEST(NodeAffinity, PairsOfTokensAreCounted) {
  const ExpertPairs pairs = count_pairs(twins(), {0});
  ASSERT_EQ(pairs.share.columns(), 28u);
  const auto row = pairs.share.row(0);
  EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1.0, 1e-12);
  EXPECT_NEAR(row[pair_index(0, 4, 8)] + row[pair_index(1, 5, 8)] + row[pair_index(2, 6, 8)] + row[pair_index(3, 7, 8)],
              1.0, 1e-12);
  EXPECT_EQ(pair_index(6, 7, 8), 27u);
}

TEST(NodeAffinity, WhatPairsTellIsExactForTwoExpertsAToken) {
  const Routing routing = twins();
  const ExpertPairs pairs = count_pairs(routing, {0});
  MappingQuestion question = question_of(routing);
  const std::vector<std::int32_t>& node_of = question.profile.topology.node_of;
  const Mapping linear = linear_of(question);
  EXPECT_NEAR(told_visits(question.train, pairs, linear, node_of).visits, 2.0, 1e-9);
  EXPECT_NEAR(exact_visits(routing, 100, linear, node_of).visits, 2.0, 1e-12);
  EXPECT_NEAR(DistinctTokens(8, 2, 2).told(1.0, 0.25), 0.75, 1e-12);
  EXPECT_NEAR(DistinctTokens(64, 1, 4).blind_part(), 1.0, 1e-12);
  // Of eight experts a token a node may have all; it is then one token, not fewer.
  EXPECT_GE(DistinctTokens(256, 8, 4).told(8.0, 28.0), 1.0 - 1e-12);
  EXPECT_LE(DistinctTokens(256, 8, 4).told(2.0, 0.5), 1.0);
}

TEST(NodeAffinity, TwinsAreGatheredOnNodes) {
  const Routing routing = twins();
  const ExpertPairs pairs = count_pairs(routing, {0});
  MappingQuestion question = question_of(routing);
  send_tokens_once(question, pairs);
  const Mapping gathered = gathered_by_pairs(question, linear_of(question), pairs);
  const std::vector<std::int32_t>& node_of = question.profile.topology.node_of;
  EXPECT_NEAR(exact_visits(routing, 100, gathered, node_of).visits, 1.0, 1e-12);
  EXPECT_NEAR(told_visits(question.train, pairs, gathered, node_of).visits, 1.0, 1e-9);
  const VisitsTable table = visits_table(question, {linear_of(question), gathered}, pairs, &routing);
  EXPECT_EQ(table.records.size(), 2u);
  EXPECT_NE(table.text.find("exact"), std::string::npos) << table.text;
  // Groups that stay whole are exchanged whole: experts 0, 1 and 4, 5 then share a node.
  question.levels = 2;
  question.routing_groups = 4;
  const Mapping by_groups = gathered_by_pairs(question, linear_of(question), pairs);
  for (std::size_t expert = 0; expert < 8; expert += 2)
    EXPECT_EQ(by_groups.expert_to_device(0, expert), by_groups.expert_to_device(0, expert + 1));
  EXPECT_NEAR(exact_visits(routing, 100, by_groups, node_of).visits, 1.0, 1e-12);
}

TEST(NodeAffinity, WhatCannotBeCountedIsRefused) {
  const Routing routing = twins();
  MappingQuestion question = question_of(routing);
  EXPECT_THROW(send_tokens_once(question, {Matrix<double>(1, 27)}), DataError);
  question.redundant_experts = 4;
  EXPECT_THROW(send_tokens_once(question, count_pairs(routing, {0})), UsageError);
  question.redundant_experts = 0;
  question.profile.topology.links.clear();
  EXPECT_THROW(send_tokens_once(question, count_pairs(routing, {0})), UsageError);
}

// One expert has nearly all tokens: copies halve and quarter it. Where all have as many there is nothing to win.
TEST(BestCopies, AreTakenWhereTheyHelpAndNoneWhereTheyDoNot) {
  MappingQuestion question = question_of(twins());
  question.profile.topology = {};
  for (std::size_t step = 0; step < 4; ++step)
    for (std::size_t expert = 0; expert < 8; ++expert) question.train.counts(step, 0, expert) = expert == 0 ? 800 : 16;
  const BestCopies some = best_copies(Communicator::world(), question);
  EXPECT_GT(some.redundant_experts, 0u) << some.report;
  EXPECT_NE(some.report.find("0 copies"), std::string::npos) << some.report;
  ASSERT_GT(some.records.size(), 1u);
  EXPECT_EQ(some.records.front().text().find("{\"copies\": 0, \"mean_s\": "), 0u) << some.records.front().text();
  for (std::uint32_t& tokens : question.train.counts.values()) tokens = 16;
  EXPECT_EQ(best_copies(Communicator::world(), question).redundant_experts, 0u);
  question.levels = 2;
  EXPECT_THROW(best_copies(Communicator::world(), question), UsageError);
}

TEST(SharedExperts, PutOnTheLeastLoadedDevicesTakeLess) {
  MappingQuestion question = question_of(twins());
  for (std::size_t step = 0; step < 4; ++step)
    for (std::size_t expert = 0; expert < 8; ++expert) question.train.counts(step, 0, expert) = expert < 2 ? 200 : 40;
  const CostModel model(question.profile);
  const SharedScore score = score_shared(model, question.train, linear_of(question), 1);
  EXPECT_LT(score.placed_s, score.own_s);
  const SharedTable table = shared_table(question, {linear_of(question)}, 1);
  EXPECT_EQ(table.records.size(), 1u);
  EXPECT_NE(table.text.find("linear"), std::string::npos);
}

}  // namespace
}  // namespace gem
