#include "cost/prediction.hpp"

namespace gem {

Cube<double> predict(const CostModel& model, std::size_t stage, const LoadTrace& trace,
                     const std::vector<ExpertHomes>& homes) {
  return predict(model, stage, trace,
                 [&](std::size_t, std::size_t layer) -> const ExpertHomes& { return homes[layer]; });
}

Cube<double> predict(const CostModel& model, std::size_t stage, const LoadTrace& trace, const HomesAt& homes_at) {
  Cube<double> predicted(trace.step_count(), trace.layer_count(), model.device_count());
  std::vector<DeviceLoad> loads(model.device_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      sum_loads(trace.counts.row(step, layer), homes_at(step, layer), model.latencies().rules(), loads);
      for (std::size_t device = 0; device < loads.size(); ++device)
        predicted(step, layer, device) = model.stage(stage).seconds(device, loads[device]);
    }
  return predicted;
}

}  // namespace gem
