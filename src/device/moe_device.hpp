#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "model/ids.hpp"
#include "model/latency_profile.hpp"

namespace gem {

class DeviceKind;

/// What it took to make experts resident on a device.
struct PlacementCost {
  std::size_t moved_bytes = 0;
  double elapsed_s = 0.0;
};

/// A device whose rows stay where they are computed, bf16 on a GPU.
class ComputesOnGpu {
 public:
  /// Rows of room that a load of `rows` needs, so that no tile reaches beyond it.
  virtual std::size_t room_for(std::size_t rows) const = 0;

  /// Like MoeDevice::compute, on the GPU's own pointers: [room_for(rows), hidden_size] both, the input complete before
  /// the call; what is in the room beyond the rows doesn't matter.
  virtual double compute_rows(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot, const void* input,
                              void* output) = 0;

 protected:
  ~ComputesOnGpu() = default;
};

/// Rows of a tile in loads of up to so many rows of the device; of a rule's last step: in all beyond.
struct TileStep {
  std::size_t up_to_rows = 0;
  std::size_t tile_tokens = 0;
  bool operator==(const TileStep&) const = default;
};

/// The tile of loads of so many rows; of rows beyond the last step, its tile, too.
inline std::size_t tile_of_rows(const std::vector<TileStep>& rule, std::size_t rows) {
  for (const TileStep& step : rule)
    if (rows <= step.up_to_rows) return step.tile_tokens;
  return rule.back().tile_tokens;
}

/// Of a device whose state can't be read.
constexpr Telemetry unknown_telemetry() {
  constexpr double unknown = std::numeric_limits<double>::quiet_NaN();
  return {unknown, unknown, unknown, 0};
}

/// One device that holds routed experts of MoE layers and runs them. Layers are numbered by the caller (0, 1, ...: an
/// index, not the model's layer id); experts of a layer sit in slots, in the order they were placed.
class MoeDevice {
 public:
  virtual ~MoeDevice() = default;

  virtual DeviceDescription description() const = 0;

  /// Makes `experts` of `layer` resident, slot by slot. Weights are random but a function of (seed, layer, expert)
  /// alone, so that an expert computes the same wherever it lives. Moves only what is not there yet. SystemError if
  /// memory is short.
  virtual PlacementCost place_experts(std::size_t layer, std::span<const ExpertId> experts) = 0;

  /// Runs the routed experts of `layer`: rows of `input` are grouped by slot, tokens_per_slot[slot] each.
  /// `input` and `output` are [sum(tokens_per_slot), hidden_size] row-major. Returns the seconds of the expert compute
  /// alone (copies to and from the device are not in it).
  virtual double compute(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot,
                         std::span<const float> input, std::span<float> output) = 0;

  /// Like compute, on random rows of the device's own and without handing out results: what a profile times.
  virtual double time_layer(std::size_t layer, std::span<const std::uint32_t> tokens_per_slot) = 0;

  /// Starts the work of time_layer `launches` times and returns without waiting: a GPU that is timed next is then as
  /// warm, and its clock as low, as at work. Devices whose speed knows no such state do nothing.
  virtual void keep_busy(std::size_t /*layer*/, std::span<const std::uint32_t> /*tokens_per_slot*/,
                         std::size_t /*launches*/) {}

  /// Tells that measurement `number` of the job begins (a point of a profile, a step of a replay). A device on a
  /// virtual clock starts the noise of that number, so that a resumed job repeats an undisturbed one; others have
  /// nothing to do.
  virtual void begin_measurement(std::uint64_t number) = 0;

  /// Tells its clock, and whether `compute` makes outputs: where it doesn't, it leaves them untouched.
  virtual const DeviceKind& kind() const = 0;

  /// Where its rows can stay on a GPU; null elsewhere.
  virtual ComputesOnGpu* on_gpu() { return nullptr; }

  /// Tiles that it works in, where it says so itself; else those that it was made with.
  virtual std::vector<TileStep> tile_rule() const { return {}; }

  /// State of the device now; NaN where it cannot be read.
  virtual Telemetry telemetry() = 0;
};

}  // namespace gem
