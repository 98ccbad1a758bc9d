#include "device/device_estimate.hpp"

#include <algorithm>

namespace gem {
namespace {

std::size_t bytes_of_expert(const DeviceOptions& options) {
  return options.expert.weight_count() * bytes_of(options.weight_type);
}

}  // namespace

DeviceEstimate::DeviceEstimate(const DeviceOptions& options)
    : layer_(device_kind(options.kind).estimate(options)), expert_bytes_(bytes_of_expert(options)) {
  for (double slowdown : options.slowdowns) slowdown_ = std::max(slowdown_, slowdown);
}

double DeviceEstimate::layer_s(std::size_t tiles, std::size_t active_experts) const {
  return layer_->layer_s(tiles, active_experts) * slowdown_;
}

std::size_t cold_layer_count(const DeviceOptions& options, std::size_t experts_per_device, std::size_t model_layers) {
  const std::size_t layer_bytes = experts_per_device * bytes_of_expert(options);
  return std::min(model_layers, device_kind(options.kind).cold_layers(options, layer_bytes));
}

}  // namespace gem
