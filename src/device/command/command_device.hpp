#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "device/command/command_session.hpp"
#include "device/moe_device.hpp"

namespace gem {

/// What another program as a device is made from.
struct CommandDeviceOptions {
  std::string command;
  double patience_s = 300.0;  ///< for an answer
  CommandOpening opening{};
  double slowdown = 1.0;  ///< at least 1; after a layer this rank waits for (slowdown - 1) times its time
};

/// Other programs as devices, for device_kinds().
const DeviceKind& command_kind();

/// A device whose experts another program runs and times: what the user's engine runs. It has weights of its own,
/// as many experts as the device holds in one mapping, and hands out nothing.
class CommandDevice : public MoeDevice {
 public:
  /// Starts the program and opens it. UsageError for a slowdown below 1; otherwise as CommandSession.
  explicit CommandDevice(const CommandDeviceOptions& options);

  DeviceDescription description() const override;
  /// Nothing moves: which experts these are doesn't matter to the program.
  PlacementCost place_experts(std::size_t, std::span<const ExpertId>) override { return {}; }
  double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, std::span<const float> input,
                 std::span<float> output) override;
  /// Slots without tokens are left out where there are more than the program has experts (those of several mappings).
  double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) override;
  void begin_measurement(std::uint64_t) override {}
  const DeviceKind& kind() const override { return command_kind(); }
  std::vector<TileStep> tile_rule() const override { return answer_.tiles; }
  DeviceProgram program() const override;
  Telemetry telemetry() override { return session_.telemetry(); }

 private:
  std::string kernel_text() const;

  CommandDeviceOptions options_;
  CommandSession session_;
  CommandAnswer answer_;
};

}  // namespace gem
