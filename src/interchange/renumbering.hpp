#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "model/mapping.hpp"

namespace gem {

/// New numbers for the experts of a model, layer by layer.
struct Renumbering {
  struct Layer {
    std::int32_t id = 0;                   ///< the model's own decoder-layer number
    std::vector<std::int32_t> old_of_new;  ///< [expert], the old number of the expert that gets this one
    bool operator==(const Layer&) const = default;
  };
  std::size_t device_count = 0;
  std::size_t expert_count = 0;
  std::vector<Layer> layers;  ///< ascending by id
  bool operator==(const Renumbering&) const = default;

  /// The layer of this id, or null if its experts keep their numbers.
  const Layer* find(std::int32_t id) const;
};

/// Numbers under which linear placement (device d holds experts d x E / D .. (d + 1) x E / D - 1) is the mapping. A
/// model with group-limited routing has `group_count` > 1 groups of consecutive experts, of which each token uses a few
/// (DeepSeek-V2, arXiv 2405.04434, section 2.2.2): there, experts must stay together with their group, and only whole
/// groups and the experts within them change places. UsageError with the reason where the mapping does not allow that.
Renumbering renumbering_of(const Mapping& mapping, std::size_t group_count);

/// Undoes it.
Renumbering inverse_of(const Renumbering& renumbering);

/// The new number of each old one.
std::vector<std::int32_t> new_of_old(const Renumbering::Layer& layer);

}  // namespace gem
