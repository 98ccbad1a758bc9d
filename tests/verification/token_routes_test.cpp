#include "verification/token_routes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "base/random.hpp"

namespace gem {
namespace {

struct Instance {
  std::vector<std::uint32_t> counts;
  ExpertHomes homes;
  std::size_t top_k;
  std::size_t ranks;
};

Instance random_instance(std::uint64_t seed) {
  RandomStream random({seed});
  const std::size_t ranks = 1 + random.below(4), top_k = 1 + random.below(4);
  const std::size_t experts = ranks * (1 + random.below(4));
  std::vector<std::uint32_t> counts;
  std::vector<std::int32_t> homes;
  for (std::size_t e = 0; e < experts; ++e) {
    counts.push_back(static_cast<std::uint32_t>(random.below(3) == 0 ? 0 : random.below(40)));
    homes.push_back(static_cast<std::int32_t>(e % ranks));
  }
  random.shuffle(std::span<std::int32_t>(homes));
  std::vector<RedundantCopy> redundant;
  for (std::size_t e = 0; e < experts; ++e)
    for (std::size_t rank = 0; rank < ranks; ++rank)
      if (static_cast<std::int32_t>(rank) != homes[e] && random.below(4) == 0)
        redundant.push_back({static_cast<std::int32_t>(e), static_cast<std::int32_t>(rank)});
  return {counts, ExpertHomes(homes, redundant), top_k, ranks};
}

TEST(TokenRoutes, RowsAreConservedAndReceiversExpectWhatSendersSend) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Instance instance = random_instance(seed);
    std::vector<TokenRoutes> routes;
    for (std::size_t rank = 0; rank < instance.ranks; ++rank)
      routes.push_back(routes_of(instance.counts, instance.homes, instance.top_k, instance.ranks, rank));
    std::size_t homes = 0;
    for (std::size_t rank = 0; rank < instance.ranks; ++rank) {
      homes += routes[rank].home_tokens.size();
      for (std::size_t other = 0; other < instance.ranks; ++other)
        EXPECT_EQ(routes[rank].send_counts[other], routes[other].receive_counts[rank]);
      for (std::size_t expert = 0; expert < instance.counts.size(); ++expert)
        EXPECT_EQ(routes[rank].tokens_per_expert[expert],
                  instance.homes.tokens_on(static_cast<std::int32_t>(rank), expert, instance.counts[expert]));
    }
    EXPECT_EQ(homes, routes[0].token_count);
  }
}

TEST(TokenRoutes, NoTokenMeetsAnExpertTwiceNorMoreThanTopK) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const Instance instance = random_instance(seed);
    std::vector<std::size_t> uses(token_count_of(instance.counts, instance.top_k), 0);
    for (std::size_t rank = 0; rank < instance.ranks; ++rank) {
      const TokenRoutes routes = routes_of(instance.counts, instance.homes, instance.top_k, instance.ranks, rank);
      std::size_t row = 0;
      for (std::uint32_t count : routes.tokens_per_expert) {
        std::set<std::uint32_t> tokens;
        for (std::uint32_t i = 0; i < count; ++i, ++row) {
          tokens.insert(routes.expert_row_tokens[row]);
          ++uses[routes.expert_row_tokens[row]];
        }
        EXPECT_EQ(tokens.size(), count);
      }
    }
    for (std::size_t use : uses) EXPECT_LE(use, instance.top_k);
  }
}

TEST(TokenRoutes, ArrivalOrderFollowsFromTheSendersOrders) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Instance instance = random_instance(seed);
    for (std::size_t receiver = 0; receiver < instance.ranks; ++receiver) {
      // What arrives: each sender's rows for the receiver, sender by sender.
      std::vector<std::uint32_t> arriving;
      for (std::size_t sender = 0; sender < instance.ranks; ++sender) {
        const TokenRoutes routes = routes_of(instance.counts, instance.homes, instance.top_k, instance.ranks, sender);
        const auto begin = std::accumulate(routes.send_counts.begin(),
                                           routes.send_counts.begin() + static_cast<std::ptrdiff_t>(receiver), 0);
        for (std::int32_t i = 0; i < routes.send_counts[receiver]; ++i)
          arriving.push_back(routes.home_tokens[routes.send_tokens[static_cast<std::size_t>(begin + i)]]);
      }
      const TokenRoutes routes = routes_of(instance.counts, instance.homes, instance.top_k, instance.ranks, receiver);
      ASSERT_EQ(arriving.size(), routes.expert_row_of_received.size());
      for (std::size_t i = 0; i < arriving.size(); ++i)
        EXPECT_EQ(routes.expert_row_tokens[routes.expert_row_of_received[i]], arriving[i]);
    }
  }
}

TEST(TokenRoutes, SumsFollowExpertsWhateverTheMapping) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Instance instance = random_instance(seed);
    const ExpertHomes one_home(std::vector<std::int32_t>(instance.counts.size(), 0));
    for (std::size_t rank = 0; rank < instance.ranks; ++rank) {
      std::vector<std::vector<std::uint32_t>> tokens;  // in the order of sums
      for (const ExpertHomes& homes : {instance.homes, one_home}) {
        const TokenRoutes routes = routes_of(instance.counts, homes, instance.top_k, instance.ranks, rank);
        tokens.emplace_back();
        for (const std::uint32_t row : routes.sum_order) tokens.back().push_back(routes.send_tokens[row]);
      }
      EXPECT_EQ(tokens[0], tokens[1]);
    }
  }
}

TEST(TokenRoutes, ExpertRowsFollowTheSlots) {
  const ExpertHomes homes(std::vector<std::int32_t>{0, 0, 1, 0});
  const std::vector<std::uint32_t> counts{3, 2, 4, 1};
  const TokenRoutes ascending = routes_of(counts, homes, 1, 2, 0);
  const TokenRoutes turned = in_slot_order(ascending, std::vector<std::int32_t>{3, 0, 1});
  const auto& rows = ascending.expert_row_tokens;
  EXPECT_EQ(turned.expert_row_tokens,
            (std::vector<std::uint32_t>{rows[5], rows[0], rows[1], rows[2], rows[3], rows[4]}));
  for (std::size_t i = 0; i < rows.size(); ++i)
    EXPECT_EQ(turned.expert_row_tokens[turned.expert_row_of_received[i]], rows[ascending.expert_row_of_received[i]])
        << "a row that arrives is of the same token";
}

}  // namespace
}  // namespace gem
