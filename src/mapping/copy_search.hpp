#pragma once

#include <cstddef>
#include <vector>

#include "mapping/model_search.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// The first local optimum of every layer from `first`, [layer], in large layers but for moves that bring little
/// (SearchOptions::rough). Collective; every rank gets the answer.
ModelAnswer first_optima(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::vector<Assignment>& first, const SearchOptions& options);

/// How many descents on all `steps` a comparison of `ways` takes, about: of many steps it is made on some first.
double copy_search_descents(std::size_t ways, std::size_t steps);

/// Of all ways_to_copy and of `others`, each layer's whose first local optimum on the steps of `searched` costs least;
/// of many steps, the two ways that are best on some of these are compared on all. `trace` has the steps that loads are
/// taken from. After the time limit, if any, no further way is tried. Collective; every rank gets the answer.
CopyCounts search_copies(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                         const LoadTrace& searched, std::size_t redundant_experts, const SearchOptions& options,
                         const std::vector<CopyCounts>& others = {});

}  // namespace gem
