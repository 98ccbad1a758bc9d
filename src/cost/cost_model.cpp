#include "cost/cost_model.hpp"

#include <algorithm>
#include <iterator>

namespace gem {

void describe(OptionList& options, CostOptions& cost) {
  options.add("features", cost.features, "search on latency over tiles and active experts, or over tokens");
  options
      .add("exchange-row-time", cost.exchange_row_ns, "NANOSECONDS",
           "minimise the exchange, too: so much time of dispatch and combine for each row of the device that gets the "
           "most, as gem-verify finds it")
      .range(0, 1e9)
      .without("compute alone");
  options.add("across-nodes", cost.across_nodes,
              "over which network cards rows of other nodes come: the device's own, or all of its node and then inside "
              "it, as libraries do that forward; the exchange is counted so where the profile has several nodes and "
              "bandwidths, and {exchange-row-time} isn't given; off: not counted");
}

CostModel::CostModel(const LatencyProfile& profile, const CostOptions& options)
    : latencies_(std::make_shared<const DeviceLatencies>(profile, options.features)) {
  stages_.push_back(make_compute_stage(latencies_));
  if (options.exchange_row_ns > 0.0)
    stages_.push_back(make_exchange_stage(options.exchange_row_ns));
  else
    std::ranges::move(make_node_exchange_stages(profile, options.across_nodes), std::back_inserter(stages_));
}

}  // namespace gem
