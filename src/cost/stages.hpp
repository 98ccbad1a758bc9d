#pragma once

#include <memory>
#include <vector>

#include "base/option.hpp"
#include "cost/device_latencies.hpp"
#include "cost/stage.hpp"

namespace gem {

/// What is counted of a layer's time, stage by stage.
struct CostOptions {
  LoadFeatures features = LoadFeatures::TilesAndExperts;
  /// Of dispatch and combine, for each row of the device that gets the most; 0: no stage.
  double exchange_row_ns = 0.0;
};

inline std::vector<OptionWord<LoadFeatures>> words_of(LoadFeatures) {
  return {{"tiles", LoadFeatures::TilesAndExperts}, {"tokens", LoadFeatures::Tokens}};
}

void describe(OptionList& options, CostOptions& cost);

/// The experts' own time on the devices: the latency surface at (tiles, active experts), or the curve at tokens, with
/// what skew and partly filled tiles add (LoadRule).
std::shared_ptr<const Stage> make_compute_stage(std::shared_ptr<const DeviceLatencies> latencies);

/// Dispatch and combine: so many seconds for each row of the device that gets the most. A linear stage.
std::shared_ptr<const Stage> make_exchange_stage(double row_ns);

}  // namespace gem
