#include <fmt/core.h>

#include "base/error.hpp"
#include "base/option.hpp"
#include "device/command/command_device.hpp"
#include "device/device_kind.hpp"

namespace gem {
namespace {

class CommandKind : public DeviceKind {
 public:
  CommandKind() {
    name = "command";
    has_outputs = false;
    transport = RowTransport::None;
    disturbed = "the devices";
    tells_tiles = true;
    // As for the GPUs that mostly stand behind it; the program itself sees to it that they are at work before a sample.
    measuring.warm_up_s = 3.0;
    measuring.block_loads = 512;
    measuring.last_tiles_filled = false;
    measuring.load_rule_is_fitted = true;
    measuring.uneven_ways = 6;
  }

  /// Engines serve a model in its own weights, so these are asked for; what a program lacks shows only when it refuses.
  std::string why_not(const DeviceOptions&, WeightType) const override { return ""; }

  void check(const DeviceOptions& options) const override {
    if (options.command.empty())
      throw UsageError(fmt::format(
          "{0} command: {1} is missing, the program that each rank starts as its device, e.g. {1} 'python3 -m "
          "gem_kernels.torch'",
          spelled("device"), spelled("command")));
    if (!(options.command_timeout_s > 0.0))
      throw UsageError(fmt::format("{}: {:g} s is not above 0", spelled("command-timeout"), options.command_timeout_s));
  }

  std::vector<std::unique_ptr<MoeDevice>> make(const DeviceOptions& options, const Communicator& ranks,
                                               DeviceRange range) const override {
    CommandDeviceOptions command;
    command.command = options.command;
    command.patience_s = options.command_timeout_s;
    command.slowdown = slowdown_of(options, range.first);
    command.opening = {options.expert,
                       options.experts_per_device,
                       options.top_k,
                       options.tokens_per_step,
                       word_of(options.weight_type),
                       options.seed,
                       ranks.rank(),
                       ranks.node_rank()};
    std::vector<std::unique_ptr<MoeDevice>> devices;
    ranks.on_all([&] { devices.push_back(std::make_unique<CommandDevice>(command)); });
    return devices;
  }

  /// Nothing is known before it has answered; a GPU's stated model stands in.
  std::unique_ptr<LayerEstimate> estimate(const DeviceOptions& options) const override {
    return simulated_kind().estimate(options);
  }
};

}  // namespace

const DeviceKind& command_kind() {
  static const CommandKind kind;
  return kind;
}

}  // namespace gem
