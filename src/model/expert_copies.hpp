#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "model/load_trace.hpp"
#include "model/mapping.hpp"

namespace gem {

/// Copies of each expert, [layer, expert], 1 or more; 0 for what is no expert of the layer.
using CopyCounts = Matrix<std::int32_t>;

/// Tokens of one of an expert's copies: split as evenly as whole tokens can be, the first copies get the rest. Engines
/// deal the tokens of a step out to the copies in turn, or at random, which comes to the same.
constexpr std::uint32_t share_of(std::uint32_t tokens, std::size_t copies, std::size_t copy) {
  const auto count = static_cast<std::uint32_t>(copies);
  return tokens / count + (copy < tokens % count ? 1 : 0);
}

/// The devices of each expert of one layer, and how they share its tokens.
class ExpertHomes {
 public:
  /// One home each, [expert]; -1: no expert, see LayerExperts.
  explicit ExpertHomes(std::span<const std::int32_t> expert_to_device);
  /// With further copies, ascending by expert.
  ExpertHomes(std::span<const std::int32_t> expert_to_device, std::span<const RedundantCopy> redundant);
  /// Of one step alone, whose tokens are dealt out so: `devices` [expert][copy], none twice; an expert without tokens
  /// may have none. `shares` [expert][copy], tokens.
  ExpertHomes(const std::vector<std::vector<std::int32_t>>& devices,
              const std::vector<std::vector<std::uint32_t>>& shares);

  std::size_t expert_count() const { return first_copy_.size() - 1; }
  /// Devices of an expert's copies, the first home first; none twice. Empty for what is no expert of the layer.
  std::span<const std::int32_t> of(std::size_t expert) const {
    return std::span(devices_).subspan(first_copy_[expert], first_copy_[expert + 1] - first_copy_[expert]);
  }
  /// Tokens of one of an expert's copies, of `tokens` that it gets in all: its own share where they are dealt out for
  /// one step, else share_of.
  std::uint32_t share(std::size_t expert, std::size_t copy, std::uint32_t tokens) const {
    return shares_.empty() ? share_of(tokens, of(expert).size(), copy) : shares_[first_copy_[expert] + copy];
  }
  /// Tokens of an expert that `device` computes, of `tokens` that it gets in all.
  std::uint32_t tokens_on(std::int32_t device, std::size_t expert, std::uint32_t tokens) const;

 private:
  std::vector<std::int32_t> devices_;    // [copy], an expert's copies follow each other
  std::vector<std::size_t> first_copy_;  // [expert + 1]
  std::vector<std::uint32_t> shares_;    // [copy]; empty where share_of decides
};

/// Homes of a mapping's layer, by its index.
ExpertHomes homes_of(const Mapping& mapping, std::size_t layer);

/// Expert of each copy of a layer, [copy]: an expert's copies follow each other.
std::vector<std::int32_t> experts_of_copies(std::span<const std::int32_t> copy_counts);

/// The trace as copies see it, counts [step, layer, copy]; every layer must have as many copies in all.
LoadTrace split_over_copies(const LoadTrace& trace, const CopyCounts& copy_counts);

}  // namespace gem
