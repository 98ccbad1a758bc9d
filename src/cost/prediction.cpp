#include "cost/prediction.hpp"

#include "cost/device_loads.hpp"

namespace gem {

Cube<double> predict(const CostModel& model, std::size_t stage, const LoadTrace& trace,
                     const std::vector<ExpertHomes>& homes) {
  Cube<double> predicted(trace.step_count(), trace.layer_count(), model.device_count());
  std::vector<DeviceLoad> loads(model.device_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      sum_loads(trace.counts.row(step, layer), homes[layer], model.latencies().rules(), loads);
      for (std::size_t device = 0; device < loads.size(); ++device)
        predicted(step, layer, device) = model.stage(stage).seconds(device, loads[device]);
    }
  return predicted;
}

}  // namespace gem
