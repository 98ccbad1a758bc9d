#pragma once

#include <vector>

#include "mapping/model_search.hpp"

namespace gem {

/// Lowers the mean of the slowest whole steps from a model's answers on (see improve_tail): as many attempts as the
/// options have starts, each with its own random numbers (seed, attempt), dealt to ranks; the least (value, attempt)
/// wins. Collective; every rank gets the result.
void improve_model_tail(const Communicator& world, const std::vector<LayerProblem>& problems,
                        std::vector<LayerAnswer>& answers, const SearchOptions& options);

}  // namespace gem
