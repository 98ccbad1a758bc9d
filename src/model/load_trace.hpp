#pragma once

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "model/layer_experts.hpp"

namespace gem {

/// Tokens per expert, step by step: the time axis is kept, because experts that are busy together must be kept apart.
struct LoadTrace {
  std::string model;
  std::string task;
  std::string phase;                     ///< "decode" or "prefill"
  std::string part = "all";              ///< "all", "train" or "test": which of the requests it was built from
  std::string sequence = "consecutive";  ///< or "resampled": each step of requests drawn anew, for searching alone
  std::size_t top_k = 0;
  std::size_t tokens_per_step = 0;
  std::vector<std::int32_t> layer_ids;  ///< [layer], the model's own decoder-layer numbers
  Cube<std::uint32_t> counts;           ///< [step, layer, expert], tokens; each (step, layer) sums to tokens x top_k
  /// [step], or empty: the group of requests that a step is made of; groups have no request in common.
  std::vector<std::int32_t> request_groups{};
  LayerExperts experts_of_layer{};  ///< see LayerExperts
  bool operator==(const LoadTrace&) const = default;

  std::size_t step_count() const { return counts.planes(); }
  std::size_t layer_count() const { return counts.rows(); }
  /// Of the layer with the most.
  std::size_t expert_count() const { return counts.columns(); }
  std::size_t experts_in(std::size_t layer) const { return gem::experts_in(experts_of_layer, layer, expert_count()); }
  /// Of the layer with the fewest.
  std::size_t fewest_experts() const { return gem::fewest_experts(experts_of_layer, expert_count()); }
  /// Tokens of a layer's own experts in a step, [expert].
  std::span<const std::uint32_t> tokens(std::size_t step, std::size_t layer) const {
    return counts.row(step, layer).first(experts_in(layer));
  }
};

/// Groups of requests that steps are made of; 0 where they aren't known.
std::size_t group_count_of(const LoadTrace& trace);

/// DataError naming `origin` where something that is no expert of its layer gets tokens.
void check_experts(const LoadTrace& trace, const std::string& origin);

/// What of the counts contradicts that each token goes to top_k different experts, a sentence; empty for nothing, and
/// where top_k isn't known.
std::string contradictions_of(const LoadTrace& trace);

/// The same as lines of their own that warn of a trace that was read, or of other tokens than the trace says; an
/// aggregate, of one step, is no count of tokens.
std::string contradiction_warning(const LoadTrace& trace);

/// A copy of everything but the steps.
LoadTrace without_steps(const LoadTrace& trace);

/// Steps first .. first + count of a trace; UsageError if it has fewer.
LoadTrace steps_of(const LoadTrace& trace, std::size_t first, std::size_t count);

/// These layers alone, by index, in that order.
LoadTrace chosen_layers(const LoadTrace& trace, const std::vector<std::size_t>& layers);

/// These steps of a trace, in this order; one may come several times.
LoadTrace chosen_steps(const LoadTrace& trace, const std::vector<std::size_t>& steps);

/// Rows of experts with so many tokens each.
inline std::size_t row_count(std::span<const std::uint32_t> tokens) {
  return std::accumulate(tokens.begin(), tokens.end(), std::size_t{0});
}

/// Rows of work that the kernel really does for `tokens`: whole tiles.
constexpr std::uint32_t tiles_of(std::uint32_t tokens, std::uint32_t tile_tokens) {
  return (tokens + tile_tokens - 1) / tile_tokens;
}

}  // namespace gem
