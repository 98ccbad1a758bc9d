#include "device/device_estimate.hpp"

#include <algorithm>
#include <vector>

#include "device/host_device.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

SimulatedDeviceOptions simulated_options(const DeviceOptions& options) {
  SimulatedDeviceOptions simulated;
  simulated.expert = options.expert;
  simulated.tile_tokens = options.tile_tokens;
  simulated.weight_bytes = weight_element_bytes(options.weight_dtype);
  simulated.model = options.simulation;
  return simulated;
}

std::size_t bytes_of_expert(const DeviceOptions& options) {
  return options.expert.weight_count() * weight_element_bytes(options.weight_dtype);
}

}  // namespace

DeviceEstimate::DeviceEstimate(const DeviceOptions& options)
    : model_(simulated_options(options)), expert_bytes_(bytes_of_expert(options)) {
  for (double slowdown : options.slowdowns) slowdown_ = std::max(slowdown_, slowdown);
  if (options.kind != "host") return;
  HostDeviceOptions host;
  host.expert = options.expert;
  host.tile_tokens = options.tile_tokens;
  host.type = parse_gemm_type(options.weight_dtype, "--dtype");
  HostDevice device(host);
  const std::vector<ExpertId> one_expert{ExpertId{0}};
  placement_s_ = device.place_experts(0, one_expert).elapsed_s;
  const std::vector<std::uint32_t> one_token{1};
  device.time_layer(0, one_token);
  host_tile_s_ = std::min(device.time_layer(0, one_token), device.time_layer(0, one_token));
}

double DeviceEstimate::layer_s(std::size_t tiles, std::size_t active_experts) const {
  const double base_s =
      host_tile_s_ > 0.0 ? host_tile_s_ * static_cast<double>(tiles) : model_.noiseless_s(tiles, active_experts);
  return base_s * slowdown_;
}

std::size_t cold_layer_count(const DeviceOptions& options, std::size_t experts_per_device, std::size_t model_layers) {
  if (options.kind != "host") return 1;  // a GPU device flushes its cache itself, a simulated one has none
  const std::size_t layer_bytes = experts_per_device * bytes_of_expert(options);
  return std::min(model_layers, 1 + 2 * last_level_cache_bytes() / layer_bytes);
}

std::vector<double> tiles_per_wave_of(const DeviceOptions& options) {
  if (options.kind != "simulated") return {};
  const auto wave = [&](std::size_t columns) {
    const std::size_t blocks = (columns + options.simulation.block_columns - 1) / options.simulation.block_columns;
    return static_cast<double>(options.simulation.multiprocessors) / static_cast<double>(blocks);
  };
  return {wave(2 * options.expert.intermediate_size), wave(options.expert.hidden_size)};
}

}  // namespace gem
