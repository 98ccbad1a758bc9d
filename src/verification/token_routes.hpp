#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "model/expert_copies.hpp"

namespace gem {

/// Which rows travel where in one MoE layer of one step, seen from one rank. A trace says how many tokens each expert
/// got, not which ones; the tokens are rebuilt so that each expert's tokens are distinct and spread evenly over the
/// ranks: the (expert, token) pairs are numbered expert by expert, pair i belongs to token i mod N, and token t lives
/// on rank t mod D (data-parallel attention's view). Every rank derives the same routes, so no indices need to be sent.
struct TokenRoutes {
  std::size_t token_count = 0;             ///< N, over all ranks
  std::vector<std::uint32_t> home_tokens;  ///< [local token] ids of the tokens that live on this rank
  std::vector<std::uint32_t> send_tokens;  ///< [sent row] local token of each row, by destination, expert, pair
  /// Sent rows by expert and pair: the order in which what comes back is summed, whatever the mapping.
  std::vector<std::uint32_t> sum_order;
  std::vector<std::int32_t> send_counts;     ///< [rank] rows to each rank
  std::vector<std::int32_t> receive_counts;  ///< [rank] rows from each rank
  /// [received row] place of each row, in order of arrival (by source, expert, pair), among the rows by expert and
  /// pair.
  std::vector<std::uint32_t> expert_row_of_received;
  std::vector<std::uint32_t> expert_row_tokens;  ///< [expert row] token id of each row that this rank computes
  std::vector<std::uint32_t> tokens_per_expert;  ///< [expert] rows that this rank computes; 0 for experts elsewhere
};

/// Routes of one (step, layer). `counts` [expert] tokens, top_k experts a token; devices are ranks. Of an expert with
/// several copies each takes its share of consecutive pairs.
TokenRoutes routes_of(std::span<const std::uint32_t> counts, const ExpertHomes& homes, std::size_t top_k,
                      std::size_t rank_count, std::size_t rank);

/// The same for a rank whose slots hold the experts `slots`, in that order: its expert rows follow them.
TokenRoutes in_slot_order(TokenRoutes routes, std::span<const std::int32_t> slots);

/// Tokens of a step: enough that each is used by at most top_k experts and by no expert twice.
std::size_t token_count_of(std::span<const std::uint32_t> counts, std::size_t top_k);

}  // namespace gem
