#include "mapping/paper_method.hpp"

#include <algorithm>

#include "mapping/baselines.hpp"
#include "search/descent.hpp"

namespace gem {

Matrix<std::int32_t> paper_mapping(const LatencyProfile& profile, const LoadTrace& trace) {
  constexpr std::size_t window_steps = 16;
  const std::size_t steps = std::min(window_steps, trace.step_count());
  const LoadTrace window = steps_of(trace, trace.step_count() - steps, steps);
  const CostModel model(profile, {.features = LoadFeatures::Tokens});
  const std::vector<LayerProblem> problems = layer_problems(model, window);
  Matrix<std::int32_t> mapping(trace.layer_count(), trace.expert_count());
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Placement placement(problems[layer], baseline_assignment(Method::Linear, model, window, layer));
    Descent().run(placement);
    std::copy(placement.assignment().begin(), placement.assignment().end(), mapping.row(layer).begin());
  }
  return mapping;
}

}  // namespace gem
