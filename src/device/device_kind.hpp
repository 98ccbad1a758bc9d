#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "device/device_options.hpp"
#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

/// What a device's latencies are read from.
enum class DeviceClock {
  Real,    ///< of a device that works: one a rank, and all begin at the same moment
  Virtual  ///< of a stated model: any number of devices a rank, the same on every machine
};

/// How rows travel between devices.
enum class RowTransport { None, Mpi, Nccl };

inline std::vector<OptionWord<RowTransport>> words_of(RowTransport) {
  return {{"mpi", RowTransport::Mpi}, {"nccl", RowTransport::Nccl}};
}

/// How devices are measured.
struct MeasuringHabits {
  double warm_up_s = 0.5;        ///< before the first load
  std::size_t block_loads = 32;  ///< that are gone round together at least; a kill of the job loses those under way
  /// More loads are gone round together as long as they take no longer than this: a machine that is slow for some
  /// seconds then slows all of them alike.
  double block_time_s = 40.0;
  bool kept_busy = false;            ///< given work before each sample: at rest its clock would rise
  std::size_t dense_tiles = 64;      ///< up to which every number of tiles is measured; 0: geometric steps alone
  bool last_tiles_filled = true;     ///< points have whole tiles; else last tiles have as many rows as real loads' have
  bool load_rule_is_fitted = false;  ///< whether what skew adds is measured, too
  /// How many uneven ways the tokens of a point are spread over its experts in, as real loads are; 0: evenly. A kernel
  /// that nobody here knows may take longer or shorter for even loads alone.
  std::size_t uneven_ways = 0;
};

/// Devices first .. first + count of a job.
struct DeviceRange {
  std::size_t first;
  std::size_t count;
};

/// What a layer is guessed to take before anything is measured.
class LayerEstimate {
 public:
  virtual ~LayerEstimate() = default;
  /// Of a device without slowdown.
  virtual double layer_s(std::size_t tiles, std::size_t active_experts) const = 0;
  /// To make an expert's weights.
  virtual double placement_s() const = 0;
};

/// All that a job must know of a kind of device before it has one. A new kind is a folder here, which says it once, and
/// an entry in device_kinds().
class DeviceKind {
 public:
  virtual ~DeviceKind() = default;

  std::string name;                            ///< what options and files call it
  bool is_built = true;                        ///< whether this program has it
  DeviceClock clock = DeviceClock::Real;       ///< of its latencies
  bool has_outputs = true;                     ///< whether it computes what can be sent on and checked
  RowTransport transport = RowTransport::Mpi;  ///< between its devices; None where it has no outputs
  bool moves_experts = false;                  ///< whether its devices send each other weights, by `transport`
  bool tells_tiles = false;                    ///< whether its devices say in which tiles they work
  std::string disturbed = "";                  ///< what to free where others disturb it, "the cores"; may be empty
  MeasuringHabits measuring{};

  bool is_virtual() const { return clock == DeviceClock::Virtual; }

  /// Why experts with such weights can't be run with these options, as "processors don't multiply them"; else empty.
  virtual std::string why_not(const DeviceOptions&, WeightType) const { return ""; }
  /// UsageError for options that it doesn't have, or where it isn't built in.
  virtual void check(const DeviceOptions& options) const = 0;
  /// Rows of a tile that suit a mean of `tokens_per_expert`.
  virtual std::size_t tile_tokens(const DeviceOptions&, double /*tokens_per_expert*/) const { return 16; }
  /// This rank's devices, those of the range. Collective.
  virtual std::vector<std::unique_ptr<MoeDevice>> make(const DeviceOptions& options, const Communicator& ranks,
                                                       DeviceRange range) const = 0;
  /// May take a second where it measures something.
  virtual std::unique_ptr<LayerEstimate> estimate(const DeviceOptions& options) const = 0;
  /// Layers whose weights must rotate for caches to be as cold as in serving; 1 where devices flush them themselves.
  virtual std::size_t cold_layers(const DeviceOptions&, std::size_t /*layer_bytes*/) const { return 1; }
  /// Whether its decoders run attention of prefill here, for which a GPU needs cuDNN on the machine.
  virtual bool runs_prefill_attention() const { return false; }
  /// Tiles that fill a device once, for each of a layer's products, where it works in waves; empty where unknown.
  virtual std::vector<double> tiles_per_wave(const DeviceOptions&) const { return {}; }
};

/// All kinds; the first that is built is the default.
const std::vector<const DeviceKind*>& device_kinds();

/// Of that name; OptionError for another word.
const DeviceKind& device_kind(const std::string& name);

/// Of that name; null for another word, as an old profile may have.
const DeviceKind* find_device_kind(const std::string& name);

/// Whether devices of a profile's kind are stated models; false for an unknown kind.
bool is_virtual_kind(const std::string& name);

/// Their names.
std::vector<std::string> device_kind_words();

}  // namespace gem
