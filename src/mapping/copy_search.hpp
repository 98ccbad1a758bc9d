#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "mapping/baselines.hpp"
#include "mapping/model_search.hpp"
#include "model/expert_copies.hpp"

namespace gem {

/// Layers to place the experts of, or, where there are any, their copies.
std::vector<LayerProblem> problems_of(const CostModel& model, const LoadTrace& trace, const CopyCounts& copies);

/// Copies packed by a baseline that packs loads, none twice on a device, [layer, copy].
Matrix<std::int32_t> pack_copies(Method method, const CostModel& model, const LoadTrace& trace,
                                 const CopyCounts& copies);

/// The first local optimum of every layer from `first`, [layer, expert or copy]. Collective; every rank gets the
/// answer.
ModelAnswer first_optima(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const Matrix<std::int32_t>& first, const SearchOptions& options);

/// Of all ways_to_copy, each layer's whose first local optimum on the steps of `searched` costs least; `trace` has the
/// steps that loads are taken from. After the time limit, if any, no further way is tried. Collective; every rank gets
/// the answer.
CopyCounts search_copies(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                         const LoadTrace& searched, std::size_t redundant_experts, const SearchOptions& options);

}  // namespace gem
