#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mapping/model_search.hpp"
#include "search/exact_search.hpp"

namespace gem {

/// How good a layer's assignment is at worst.
struct Certificate {
  std::int64_t cost = 0;         ///< of the assignment, ticks summed over the steps searched on
  std::int64_t lower_bound = 0;  ///< no assignment is below; equal to the cost if it is optimal
};

/// Bounds all layers by water filling; layers with few experts by exact search too (ExactSearch, HalvesSearch), which
/// replaces the layer's answer where it finds a better one and the options' time limit hasn't come; each gives a layer
/// up, unproven, after `max_nodes`; of HalvesSearch's nodes, which are cheaper, after as many times more as its default
/// is larger. Layers are dealt to ranks; collective, every rank gets the result.
std::vector<Certificate> certify(const Communicator& world, const std::vector<LayerProblem>& problems,
                                 std::vector<LayerAnswer>& answers, const SearchOptions& options,
                                 std::uint64_t max_nodes = ExactSearch::default_max_nodes);

/// One line a layer and their sum.
std::string certificate_table(const std::vector<LayerProblem>& problems, const std::vector<std::int32_t>& layer_ids,
                              const std::vector<Certificate>& certificates);

}  // namespace gem
