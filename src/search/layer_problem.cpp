#include "search/layer_problem.hpp"

namespace gem {

void LayerProblem::set_present(const DeviceContents& present, const MoveLimit& limit) {
  move_limit_ = limit;
  is_move_.assign(expert_count() * device_count(), 1);
  for (std::size_t placed = 0; placed < expert_count(); ++placed)
    for (std::size_t device = 0; device < device_count(); ++device)
      if (holds(present[device], expert_of(static_cast<std::int32_t>(placed))))
        is_move_[placed * device_count() + device] = 0;
}

std::vector<LayerProblem> layer_problems(const CostModel& model, const LoadTrace& trace) {
  std::vector<LayerProblem> problems;
  for (LayerCost& cost : layer_costs(model, trace)) problems.emplace_back(std::move(cost));
  return problems;
}

}  // namespace gem
