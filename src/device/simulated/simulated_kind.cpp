#include "device/device_kind.hpp"
#include "device/simulated/simulated_device.hpp"

namespace gem {
namespace {

SimulatedDeviceOptions device_options(const DeviceOptions& options) {
  SimulatedDeviceOptions simulated;
  simulated.expert = options.expert;
  simulated.tile_tokens = options.tile_tokens;
  simulated.tile_rule = options.tile_rule;
  simulated.weight_bytes = bytes_of(options.weight_type);
  simulated.seed = options.seed;
  simulated.model = options.simulation;
  return simulated;
}

/// The stated model itself, near that of an H100.
class SimulatedEstimate : public LayerEstimate {
 public:
  explicit SimulatedEstimate(const DeviceOptions& options) : device_(device_options(options)) {}
  double layer_s(std::size_t tiles, std::size_t active_experts) const override {
    return device_.noiseless_s(tiles, active_experts);
  }
  double placement_s() const override { return 0.0; }

 private:
  SimulatedDevice device_;
};

class SimulatedKind : public DeviceKind {
 public:
  SimulatedKind() {
    name = simulated_kind_name;
    clock = DeviceClock::Virtual;
    has_outputs = false;
    transport = RowTransport::None;
  }

  bool runs_prefill_attention() const override { return true; }

  void check(const DeviceOptions&) const override {}

  std::vector<std::unique_ptr<MoeDevice>> make(const DeviceOptions& options, const Communicator& ranks,
                                               DeviceRange range) const override {
    SimulatedDeviceOptions simulated = device_options(options);
    simulated.rank = ranks.rank();
    std::vector<std::unique_ptr<MoeDevice>> devices;
    for (std::size_t device = range.first; device < range.first + range.count; ++device) {
      simulated.slowdown = slowdown_of(options, device);
      simulated.device = static_cast<std::int32_t>(device);
      devices.push_back(std::make_unique<SimulatedDevice>(simulated));
    }
    return devices;
  }

  std::unique_ptr<LayerEstimate> estimate(const DeviceOptions& options) const override {
    return std::make_unique<SimulatedEstimate>(options);
  }

  std::vector<double> tiles_per_wave(const DeviceOptions& options) const override {
    const auto wave = [&](std::size_t columns) {
      const std::size_t blocks = (columns + options.simulation.block_columns - 1) / options.simulation.block_columns;
      return static_cast<double>(options.simulation.multiprocessors) / static_cast<double>(blocks);
    };
    return {wave(2 * options.expert.intermediate_size), wave(options.expert.hidden_size)};
  }
};

}  // namespace

const DeviceKind& simulated_kind() {
  static const SimulatedKind kind;
  return kind;
}

}  // namespace gem
