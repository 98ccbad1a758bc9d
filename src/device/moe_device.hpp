#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/ids.hpp"
#include "model/latency_profile.hpp"

namespace gem {

class DecoderDevice;
class DeviceKind;
struct DecoderWork;

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

  /// Waits for what keep_busy has begun, but not for what others do on the GPU.
  virtual void wait() = 0;

  /// Where a resident expert's weights lie on the GPU, piece by piece, as many and as large for every expert.
  virtual std::vector<std::span<std::byte>> expert_pieces(std::size_t layer, ExpertId expert) = 0;
  /// Likewise those of a spare place, see MovesExperts.
  virtual std::vector<std::span<std::byte>> spare_pieces(std::size_t place) = 0;

 protected:
  ~ComputesOnGpu() = default;
};

/// A device whose experts' weights can be sent to another one of its kind. What arrives is written into a spare place
/// first, and the expert that must leave for it stays resident until all ranks have what is sent to them: so that every
/// expert is in one place at least, whatever happens.
class MovesExperts {
 public:
  /// Bytes of one expert's weights as they are sent.
  virtual std::size_t expert_bytes() const = 0;
  /// Copies a resident expert's weights to the host, [expert_bytes].
  virtual void read_expert(std::size_t layer, ExpertId expert, std::span<std::byte> bytes) = 0;
  /// Makes spare places 0 .. count - 1 where there are fewer; none ever goes. SystemError if memory is short.
  virtual void reserve_spares(std::size_t count) = 0;
  /// Copies weights into a spare place.
  virtual void write_spare(std::size_t place, std::span<const std::byte> bytes) = 0;
  /// What is in the spare place becomes resident as `arriving`, in the slot of `leaving`, which isn't any more.
  virtual void replace(std::size_t layer, ExpertId leaving, ExpertId arriving, std::size_t place) = 0;
  /// From now on the device takes so many times as long as it does by itself, 1 or more: extra time in proportion.
  virtual void set_slowdown(double slowdown) = 0;

 protected:
  ~MovesExperts() = default;
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

  /// Where its weights can be sent to other devices; null elsewhere.
  virtual MovesExperts* moves_experts() { return nullptr; }

  /// Tiles that it works in, where it says so itself; else those that it was made with.
  virtual std::vector<TileStep> tile_rule() const { return {}; }

  /// The same device for what of a decoder layer isn't routed experts; null where it can't run that. Works on this
  /// device's own hardware and is as slow as it.
  virtual std::unique_ptr<DecoderDevice> make_decoder(const DecoderWork& work);

  /// State of the device now; NaN where it cannot be read.
  virtual Telemetry telemetry() = 0;
};

}  // namespace gem
