#include <fmt/core.h>
#include <algorithm>
#include <iostream>

#include "base/error.hpp"
#include "device/device_kind.hpp"
#include "device/host/host_device.hpp"
#include "platform/host/affinity.hpp"
#include "platform/host/host_info.hpp"

namespace gem {
namespace {

HostDeviceOptions device_options(const DeviceOptions& options) {
  HostDeviceOptions host;
  host.expert = options.expert;
  host.tile_tokens = options.tile_tokens;
  host.type = options.weight_type == WeightType::F32 ? GemmType::F32 : GemmType::Bf16;
  host.seed = options.seed;
  host.weight_layers = options.weight_layers;
  return host;
}

/// From one tile that is timed.
class HostEstimate : public LayerEstimate {
 public:
  explicit HostEstimate(const DeviceOptions& options) {
    HostDevice device(device_options(options));
    placement_s_ = device.place_experts(0, std::vector<ExpertId>{ExpertId{0}}).elapsed_s;
    const std::vector<std::uint32_t> one_token{1};
    device.time_layer(0, one_token);
    tile_s_ = std::min(device.time_layer(0, one_token), device.time_layer(0, one_token));
  }
  double layer_s(std::size_t tiles, std::size_t) const override { return tile_s_ * static_cast<double>(tiles); }
  double placement_s() const override { return placement_s_; }

 private:
  double tile_s_ = 0.0;
  double placement_s_ = 0.0;
};

class HostKind : public DeviceKind {
 public:
  HostKind() {
    name = "host";
    disturbed = "the cores";
    moves_experts = true;
    measuring.dense_tiles = 0;  // a core takes tiles one by one, in no waves
  }

  bool runs_prefill_attention() const override { return true; }

  std::string why_not(const DeviceOptions&, WeightType type) const override {
    if (type == WeightType::Fp8) return "processors don't multiply them";
    return type == WeightType::Bf16 && !gemm_has(GemmType::Bf16) ? gemm_library() + " doesn't multiply them" : "";
  }

  void check(const DeviceOptions& options) const override {
    if (options.weight_type == WeightType::Fp8)
      throw option_error(option_name(&DeviceOptions::asked_weight_type),
                         "{} fp8: processors don't multiply it; choose bf16 or f32, or {} cuda or simulated",
                         option_name(&DeviceOptions::kind));
  }

  std::vector<std::unique_ptr<MoeDevice>> make(const DeviceOptions& options, const Communicator& ranks,
                                               DeviceRange range) const override {
    const Communicator::NodePlace node = ranks.node_place();
    const std::size_t cpu_count = allowed_cpus().size();
    const bool pinned = pin_to_core(node.rank).has_value();
    if (!pinned && cpu_count > 1 && node.rank == node.size - 1)
      std::cerr << fmt::format("note: {} ranks share {} cores of {}; they will disturb each other's timing\n",
                               node.size, cpu_count, host_name());
    HostDeviceOptions host = device_options(options);
    host.rank = ranks.rank();
    host.slowdown = slowdown_of(options, range.first);
    // Some room is left for activations and for the rest of the machine.
    host.memory_limit_bytes = available_memory_bytes() / 10 * 9 / static_cast<std::size_t>(node.size);
    std::vector<std::unique_ptr<MoeDevice>> devices;
    devices.push_back(std::make_unique<HostDevice>(host));
    return devices;
  }

  std::unique_ptr<LayerEstimate> estimate(const DeviceOptions& options) const override {
    return std::make_unique<HostEstimate>(options);
  }

  std::size_t cold_layers(const DeviceOptions&, std::size_t layer_bytes) const override {
    return 1 + 2 * last_level_cache_bytes() / layer_bytes;
  }
};

}  // namespace

const DeviceKind& host_kind() {
  static const HostKind kind;
  return kind;
}

}  // namespace gem
