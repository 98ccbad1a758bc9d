#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "cost/stages.hpp"

namespace gem {

/// The stage that every model begins with, and that profiles and replays measure device by device: the experts'
/// compute.
constexpr std::size_t profiled_stage = 0;

/// What a layer's time is made of on the devices of a profile: a sum of stages.
class CostModel {
 public:
  explicit CostModel(const LatencyProfile& profile, const CostOptions& options = {});

  std::size_t device_count() const { return latencies_->device_count(); }
  std::size_t stage_count() const { return stages_.size(); }
  const Stage& stage(std::size_t index) const { return *stages_[index]; }
  /// Of the profiled stage.
  const DeviceLatencies& latencies() const { return *latencies_; }

 private:
  std::shared_ptr<const DeviceLatencies> latencies_;
  std::vector<std::shared_ptr<const Stage>> stages_;
};

}  // namespace gem
