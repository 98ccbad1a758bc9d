#include "search/layer_problem.hpp"

namespace gem {

std::vector<LayerProblem> layer_problems(const CostModel& model, const LoadTrace& trace) {
  std::vector<LayerProblem> problems;
  for (LayerCost& cost : layer_costs(model, trace)) problems.emplace_back(std::move(cost));
  return problems;
}

}  // namespace gem
