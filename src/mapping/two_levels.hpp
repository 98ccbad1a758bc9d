#pragma once

#include <vector>

#include "mapping/method_task.hpp"

namespace gem {

/// A first placement in two levels, [layer] device of each expert: the search puts experts, or whole routing groups, on
/// nodes, each taken for one device as fast as its devices together; then each node's experts are packed over its
/// devices by mean loads and speeds. `trace` has the steps to search on. Collective; every rank gets the answer.
std::vector<Assignment> place_on_nodes(const MethodTask& task, const LoadTrace& trace);

}  // namespace gem
