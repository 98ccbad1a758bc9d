#include "search/layer_problem.hpp"

namespace gem {

void LayerProblem::set_present(const DeviceContents& present, const MoveLimit& limit) {
  move_limit_ = limit;
  is_move_.assign(expert_count() * device_count(), 1);
  std::vector<std::size_t> first_copy;  // [expert], and one beyond
  for (std::size_t placed = 0; placed < expert_count(); ++placed)
    first_copy.resize(static_cast<std::size_t>(expert_of(static_cast<std::int32_t>(placed))) + 1, placed);
  first_copy.push_back(expert_count());
  for (std::size_t device = 0; device < device_count(); ++device)
    for (const std::int32_t expert : present[device]) {
      const auto e = static_cast<std::size_t>(expert);
      if (expert < 0 || e + 1 >= first_copy.size()) continue;  // an empty slot
      for (std::size_t placed = first_copy[e]; placed < first_copy[e + 1]; ++placed)
        is_move_[placed * device_count() + device] = 0;
    }
}

std::vector<LayerProblem> layer_problems(const CostModel& model, const LoadTrace& trace) {
  std::vector<LayerProblem> problems;
  for (LayerCost& cost : layer_costs(model, trace)) problems.emplace_back(std::move(cost));
  return problems;
}

}  // namespace gem
