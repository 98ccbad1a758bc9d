#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "device/device_kind.hpp"

namespace gem {

/// What a job will take, guessed before anything is measured.
class DeviceEstimate {
 public:
  /// For the host device one tile is timed here, which takes about a second for large experts.
  explicit DeviceEstimate(const DeviceOptions& options);

  /// Seconds of a layer on the slowest device, good to a factor of two or so.
  double layer_s(std::size_t tiles, std::size_t active_experts) const;

  /// Seconds to make an expert's weights.
  double placement_s() const { return layer_->placement_s(); }

  /// Bytes of an expert's weights.
  std::size_t expert_bytes() const { return expert_bytes_; }

 private:
  std::unique_ptr<LayerEstimate> layer_;
  double slowdown_ = 1.0;
  std::size_t expert_bytes_;
};

/// Layers whose weights must rotate on each device for its caches to be cold, as they are in serving, where all layers
/// pass between two uses of one; at most model_layers.
std::size_t cold_layer_count(const DeviceOptions& options, std::size_t experts_per_device, std::size_t model_layers);

}  // namespace gem
