#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "model/mapping.hpp"

namespace gem {

/// New numbers for the experts of a model, layer by layer.
struct Renumbering {
  struct Layer {
    std::int32_t id = 0;                   ///< the model's own decoder-layer number
    std::vector<std::int32_t> old_of_new;  ///< [expert of the layer], the old number of the one that gets this one
    bool operator==(const Layer&) const = default;
  };
  std::size_t device_count = 0;
  std::size_t expert_count = 0;       ///< of the mapping's layer with the most; a layer may have fewer
  std::vector<Layer> layers;          ///< ascending by id
  std::size_t group_count = 1;        ///< groups of consecutive experts that were kept together
  std::size_t zero_expert_count = 0;  ///< zero-computation experts (LongCat): they follow in the router, and stay
  bool operator==(const Renumbering&) const = default;

  /// The layer of this id, or null if its experts keep their numbers.
  const Layer* find(std::int32_t id) const;
};

/// Numbers under which linear placement (device d holds experts d x E / D .. (d + 1) x E / D - 1) is the mapping, each
/// layer with its own number of experts E. A
/// model with group-limited routing has `group_count` > 1 groups of consecutive experts, of which each token uses a few
/// (DeepSeek-V2, arXiv 2405.04434, section 2.2.2): there, experts must stay together with their group, and only whole
/// groups and the experts within them change places. UsageError with the reason where the mapping does not allow that.
Renumbering renumbering_of(const Mapping& mapping, std::size_t group_count);

/// The same for a model whose layers have so many experts each: a layer with fewer than the mapping's loses the numbers
/// beyond, and the others close up in their order. Layers that `expert_counts` doesn't name stay. UsageError for such a
/// layer of a model that routes by groups.
Renumbering with_expert_counts(const Renumbering& renumbering,
                               const std::map<std::int32_t, std::size_t>& expert_counts);

/// Experts of the layer that linear placement gives to another device than `whole`, the renumbering of the mapping's
/// own number of experts, does. Engines give the first devices one expert more where they don't divide.
std::size_t displaced_experts(const Renumbering& whole, const Renumbering::Layer& layer);

/// Undoes it.
Renumbering inverse_of(const Renumbering& renumbering);

/// The new number of each old one.
std::vector<std::int32_t> new_of_old(const Renumbering::Layer& layer);

}  // namespace gem
