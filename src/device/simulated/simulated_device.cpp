#include "device/simulated/simulated_device.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/error.hpp"
#include "base/text.hpp"
#include "device/device_kind.hpp"
#include "model/load_trace.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

std::size_t ceil_divide(std::size_t value, std::size_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace

SimulatedDevice::SimulatedDevice(const SimulatedDeviceOptions& options) : options_(options) {
  if (!(options.slowdown > 0.0) || !std::isfinite(options.slowdown))
    throw UsageError(
        fmt::format("a slowdown of {:g} cannot be simulated; it must be a number above 0", options.slowdown));
}

DeviceDescription SimulatedDevice::description() const {
  DeviceDescription description;
  description.kind = description.name = kind().name;
  if (options_.slowdown != 1.0) description.name += fmt::format(" x{:.4g}", options_.slowdown);
  description.hostname = host_name();
  description.rank = options_.rank;
  description.emulated_slowdown = options_.slowdown;
  return description;
}

PlacementCost SimulatedDevice::place_experts(std::size_t layer, std::span<const ExpertId> experts) {
  slots_of_layer_[layer] = experts.size();
  const std::size_t bytes = experts.size() * options_.expert.weight_count() * options_.weight_bytes;
  return {bytes, static_cast<double>(bytes) / options_.model.weight_bytes_per_s};
}

double SimulatedDevice::noiseless_s(std::size_t tiles, std::size_t active_experts, std::size_t tile_tokens) const {
  if (tiles == 0) return 0.0;
  const SimulationModel& model = options_.model;
  const auto product_s = [&](std::size_t columns, std::size_t depth) {
    const std::size_t blocks = tiles * ceil_divide(columns, model.block_columns);
    const double block_weights = static_cast<double>(model.block_columns * depth);
    const double arithmetic_s = 2.0 * static_cast<double>(tile_tokens) * block_weights / model.flops_per_s;
    const double reading_s = block_weights * static_cast<double>(options_.weight_bytes) / model.l2_bytes_per_s;
    // Both rates are those of all multiprocessors; a block has one of them.
    const double block_s = std::max(arithmetic_s, reading_s) * static_cast<double>(model.multiprocessors);
    return static_cast<double>(ceil_divide(blocks, model.multiprocessors)) * block_s;
  };
  const std::size_t hidden = options_.expert.hidden_size, intermediate = options_.expert.intermediate_size;
  const double compute_s = product_s(2 * intermediate, hidden) + product_s(hidden, intermediate);
  const double streaming_s =
      static_cast<double>(active_experts * options_.expert.weight_count() * options_.weight_bytes) /
      model.weight_bytes_per_s;
  return model.launch_s + std::max(options_.slowdown * compute_s, streaming_s);
}

void SimulatedDevice::begin_measurement(std::uint64_t number) {
  measurement_ = number;
  noise_.reset();
}

double SimulatedDevice::noise_factor() {
  const SimulationModel& model = options_.model;
  if (model.noise <= 0.0 && model.outlier_probability <= 0.0) return 1.0;
  if (!noise_) noise_.emplace({options_.seed, static_cast<std::uint64_t>(options_.device), measurement_});
  const double factor = std::exp(model.noise * noise_->normal());
  return noise_->uniform() < model.outlier_probability ? factor * model.outlier_factor : factor;
}

double SimulatedDevice::time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) {
  const auto placed = slots_of_layer_.find(layer);
  const std::size_t slots = placed == slots_of_layer_.end() ? 0 : placed->second;
  if (slots != tokens_per_slot.size())
    throw DataError(fmt::format("device {}: layer {} holds {} experts, but a load for {} was given", options_.device,
                                layer, slots, tokens_per_slot.size()));
  const std::size_t tile_tokens =
      options_.tile_rule.empty() ? options_.tile_tokens : tile_of_rows(options_.tile_rule, row_count(tokens_per_slot));
  std::size_t tiles = 0, active_experts = 0;
  for (std::uint32_t tokens : tokens_per_slot) {
    tiles += tiles_of(tokens, static_cast<std::uint32_t>(tile_tokens));
    active_experts += tokens > 0 ? 1 : 0;
  }
  return noiseless_s(tiles, active_experts, tile_tokens) * noise_factor();
}

double SimulatedDevice::compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot,
                                std::span<const float>, std::span<float>) {
  return time_layer(layer, tokens_per_slot);
}

Telemetry SimulatedDevice::telemetry() {
  return unknown_telemetry();
}

}  // namespace gem
