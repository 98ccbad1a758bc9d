#include "cost/cost_model.hpp"

namespace gem {

CostModel::CostModel(const LatencyProfile& profile, const CostOptions& options)
    : latencies_(std::make_shared<const DeviceLatencies>(profile, options.features)) {
  stages_.push_back(make_compute_stage(latencies_));
  if (options.exchange_row_s > 0.0) stages_.push_back(make_exchange_stage(options.exchange_row_s));
}

}  // namespace gem
