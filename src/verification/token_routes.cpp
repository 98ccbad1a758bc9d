#include "verification/token_routes.hpp"

#include <algorithm>

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
  std::size_t pair = 0;
  for (std::size_t expert = 0; expert < counts.size(); ++expert) {
    const auto copies = homes.of(expert);
    for (std::size_t copy = 0; copy < copies.size(); ++copy) {
      const auto destination = static_cast<std::size_t>(copies[copy]);
      const std::uint32_t share = homes.share(expert, copy, counts[expert]);
      for (std::uint32_t i = 0; i < share; ++i, ++pair) {
        const std::size_t token = pair % routes.token_count;
        const std::size_t home = token % rank_count;
        if (home == rank) sent_to[destination].push_back(static_cast<std::uint32_t>(token / rank_count));
        if (destination == rank) {
          received_from[home].push_back(static_cast<std::uint32_t>(routes.expert_row_tokens.size()));
          routes.expert_row_tokens.push_back(static_cast<std::uint32_t>(token));
          ++routes.tokens_per_expert[expert];
        }
      }
    }
  }
  for (std::size_t other = 0; other < rank_count; ++other) {
    routes.send_counts[other] = static_cast<std::int32_t>(sent_to[other].size());
    routes.receive_counts[other] = static_cast<std::int32_t>(received_from[other].size());
    routes.send_tokens.insert(routes.send_tokens.end(), sent_to[other].begin(), sent_to[other].end());
    routes.expert_row_of_received.insert(routes.expert_row_of_received.end(), received_from[other].begin(),
                                         received_from[other].end());
  }
  return routes;
}

}  // namespace gem
