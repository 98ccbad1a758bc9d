#include "mapping/paper_method.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "mapping/baselines.hpp"
#include "search/descent.hpp"
#include "search/redundant_experts.hpp"

namespace gem {

Mapping paper_mapping(const LatencyProfile& profile, const LoadTrace& trace, const std::function<bool()>& out_of_time) {
  constexpr std::size_t window_steps = 16;
  const std::size_t steps = std::min(window_steps, trace.step_count());
  const LoadTrace window = steps_of(trace, trace.step_count() - steps, steps);
  const CostModel model(profile, {.features = LoadFeatures::Tokens, .across_nodes = AcrossNodes::Off});
  const std::vector<LayerProblem> problems = layer_problems(model, window);
  std::vector<Assignment> layers = assignments_of(linear_mapping(window, model.device_count()));
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Placement placement(problems[layer], layers[layer]);
    Descent descent(out_of_time);
    descent.run(placement);
    if (descent.was_stopped()) throw UsageError("the time limit came before its search ended; give it more time");
    layers[layer] = placement.assignment();
  }
  Mapping mapping = mapping_of(layers, {}, model.device_count());
  mapping.layer_ids = trace.layer_ids;
  return mapping;
}

}  // namespace gem
