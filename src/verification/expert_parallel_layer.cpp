#include "verification/expert_parallel_layer.hpp"

namespace gem {

float token_value(std::uint32_t token, std::size_t column) {
  // A multiplicative hash (Knuth) of both: neighbours in either differ.
  const std::uint64_t mixed = ((token * 1000003ull + column) * 0x9e3779b97f4a7c15ull) >> 40;
  return (static_cast<float>(mixed % 17) - 8.0f) / 8.0f;
}

std::vector<std::uint32_t> tokens_per_slot(const TokenRoutes& routes, std::span<const std::int32_t> resident) {
  std::vector<std::uint32_t> tokens;
  for (std::int32_t expert : resident) tokens.push_back(routes.tokens_per_expert[static_cast<std::size_t>(expert)]);
  return tokens;
}

std::vector<std::uint32_t> copies_per_token(const TokenRoutes& routes) {
  std::vector<std::uint32_t> copies(routes.home_tokens.size(), 0);
  for (std::uint32_t local : routes.send_tokens) ++copies[local];
  return copies;
}

ExpertTransfers transfers_of(std::span<const ExpertShare> shares, std::size_t rank, std::size_t rank_count) {
  ExpertTransfers transfers;
  transfers.send_counts.assign(rank_count, 0);
  transfers.receive_counts.assign(rank_count, 0);
  const auto own = static_cast<std::int32_t>(rank);
  for (std::size_t other = 0; other < rank_count; ++other)
    for (const ExpertShare& share : shares) {
      const auto peer = static_cast<std::int32_t>(other);
      if (share.from == own && share.device == peer) {
        transfers.sent.push_back(share.expert);
        ++transfers.send_counts[other];
      }
      if (share.from == peer && share.device == own) {
        transfers.received.push_back(share.expert);
        ++transfers.receive_counts[other];
      }
    }
  return transfers;
}

}  // namespace gem
