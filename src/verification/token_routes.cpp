#include "verification/token_routes.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace gem {

std::size_t token_count_of(std::span<const std::uint32_t> counts, std::size_t top_k) {
  const std::size_t pairs = row_count(counts);
  const std::uint32_t most = counts.empty() ? 0 : *std::max_element(counts.begin(), counts.end());
  return std::max<std::size_t>((pairs + top_k - 1) / top_k, most);
}

TokenRoutes routes_of(std::span<const std::uint32_t> counts, const ExpertHomes& homes, std::size_t top_k,
                      std::size_t rank_count, std::size_t rank) {
  TokenRoutes routes;
  routes.token_count = token_count_of(counts, top_k);
  for (std::size_t token = rank; token < routes.token_count; token += rank_count)
    routes.home_tokens.push_back(static_cast<std::uint32_t>(token));

  routes.send_counts.assign(rank_count, 0);
  routes.receive_counts.assign(rank_count, 0);
  routes.tokens_per_expert.assign(counts.size(), 0);
  std::vector<std::vector<std::uint32_t>> sent_to(rank_count);        // local tokens, by destination
  std::vector<std::vector<std::uint32_t>> received_from(rank_count);  // expert rows, by source
  std::vector<std::pair<std::size_t, std::size_t>> sent;  // destination and place among what it is sent, by pair
  std::size_t pair = 0;
  for (std::size_t expert = 0; expert < counts.size(); ++expert) {
    const auto copies = homes.of(expert);
    for (std::size_t copy = 0; copy < copies.size(); ++copy) {
      const auto destination = static_cast<std::size_t>(copies[copy]);
      const std::uint32_t share = homes.share(expert, copy, counts[expert]);
      for (std::uint32_t i = 0; i < share; ++i, ++pair) {
        const std::size_t token = pair % routes.token_count;
        const std::size_t home = token % rank_count;
        if (home == rank) {
          sent.emplace_back(destination, sent_to[destination].size());
          sent_to[destination].push_back(static_cast<std::uint32_t>(token / rank_count));
        }
        if (destination == rank) {
          received_from[home].push_back(static_cast<std::uint32_t>(routes.expert_row_tokens.size()));
          routes.expert_row_tokens.push_back(static_cast<std::uint32_t>(token));
          ++routes.tokens_per_expert[expert];
        }
      }
    }
  }
  std::vector<std::size_t> first_sent(rank_count, 0);
  for (std::size_t other = 0; other < rank_count; ++other) {
    first_sent[other] = routes.send_tokens.size();
    routes.send_counts[other] = static_cast<std::int32_t>(sent_to[other].size());
    routes.receive_counts[other] = static_cast<std::int32_t>(received_from[other].size());
    routes.send_tokens.insert(routes.send_tokens.end(), sent_to[other].begin(), sent_to[other].end());
    routes.expert_row_of_received.insert(routes.expert_row_of_received.end(), received_from[other].begin(),
                                         received_from[other].end());
  }
  for (const auto& [destination, place] : sent)
    routes.sum_order.push_back(static_cast<std::uint32_t>(first_sent[destination] + place));
  return routes;
}

TokenRoutes in_slot_order(TokenRoutes routes, std::span<const std::int32_t> slots) {
  std::vector<std::uint32_t> first_row(routes.tokens_per_expert.size(), 0);
  std::exclusive_scan(routes.tokens_per_expert.begin(), routes.tokens_per_expert.end(), first_row.begin(), 0u);
  std::vector<std::uint32_t> tokens, new_row(routes.expert_row_tokens.size());
  for (const std::int32_t expert : slots)
    for (std::uint32_t i = 0; i < routes.tokens_per_expert[static_cast<std::size_t>(expert)]; ++i) {
      const std::uint32_t row = first_row[static_cast<std::size_t>(expert)] + i;
      new_row[row] = static_cast<std::uint32_t>(tokens.size());
      tokens.push_back(routes.expert_row_tokens[row]);
    }
  routes.expert_row_tokens = std::move(tokens);
  for (std::uint32_t& row : routes.expert_row_of_received) row = new_row[row];
  return routes;
}

}  // namespace gem
