#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/array.hpp"
#include "model/device_description.hpp"
#include "model/expert_slots.hpp"
#include "model/layer_experts.hpp"

namespace gem {

/// One point of a search's course: from then on, this start's best for the layer took so long.
struct SearchPoint {
  std::int32_t layer;  ///< an index
  std::int32_t start;
  double elapsed_s;    ///< since the start began
  double predicted_s;  ///< mean over the steps searched on, with the exchange where it was counted
};

/// A further copy of an expert, beside its first home: the two share its tokens evenly.
struct RedundantCopy {
  std::int32_t expert = 0;
  std::int32_t device = 0;
  bool operator==(const RedundantCopy&) const = default;
};

/// One step of the way from the placement that ran before: an expert's weights are copied, and what was there before is
/// overwritten. Carried out in order, every expert is in at least one place at any moment, and beside the slots one
/// buffer for one expert is all the memory that is needed.
struct ExpertMove {
  std::int32_t layer = 0;  ///< an index
  std::int32_t expert = 0;
  std::int32_t from_device = 0;  ///< that holds it now; equal to to_device: out of its buffer
  std::int32_t to_device = 0;
  std::int32_t replaces = -1;  ///< expert whose slot on to_device it takes; -1: into that device's buffer
  bool operator==(const ExpertMove&) const = default;
};

/// Which device holds which experts, layer by layer.
struct Mapping {
  std::string model;  ///< as the file names it that it was read from; a written file's provenance names the model
  std::string method;
  std::size_t device_count = 0;
  std::vector<std::int32_t> layer_ids;    ///< [layer], the model's own decoder-layer numbers
  Matrix<std::int32_t> expert_to_device;  ///< [layer, expert], the first home; -1 for none, see LayerExperts
  Matrix<RedundantCopy> redundant;        ///< [layer, copy], ascending by expert, then device; empty without copies
  std::vector<double> predicted_s;        ///< [layer], mean over the steps searched on; NaN where unknown
  std::vector<double> lower_bound_s;      ///< [layer], no mapping is faster; NaN where unknown
  std::size_t train_steps = 0;            ///< steps searched on
  std::string train_task;                 ///< what it was searched on: task (empty if unknown) and part of the trace
  std::string train_part = "all";
  std::vector<SearchPoint> course;         ///< how the search went; empty for a method that doesn't search
  std::string device_kind;                 ///< of the devices that it was made for; empty if unknown
  std::vector<DeviceDescription> devices;  ///< [device], those that it was made for; empty if unknown
  DeviceProgram program;                   ///< that stood for these devices; empty for GEM's own kernels
  std::string moved_from;                  ///< file of the placement that it was made from; empty: from none
  std::vector<ExpertMove> moves;           ///< the way from there, in order
  std::size_t expert_bytes = 0;            ///< of one expert's weights, which each move copies; 0: unknown
  LayerExperts experts_of_layer;           ///< see LayerExperts

  std::size_t layer_count() const { return expert_to_device.rows(); }
  /// Of the layer with the most.
  std::size_t expert_count() const { return expert_to_device.columns(); }
  std::size_t experts_in(std::size_t layer) const { return gem::experts_in(experts_of_layer, layer, expert_count()); }
  /// Redundant copies of a layer.
  std::size_t redundant_count() const { return redundant.columns(); }
  /// Of the layer with the most.
  std::size_t slot_count() const { return expert_count() + redundant_count(); }
  std::size_t slots_in(std::size_t layer) const { return experts_in(layer) + redundant_count(); }
  /// Slots of the fullest device: where experts don't divide, the first devices hold one more (expert_slots.hpp).
  std::size_t slots_per_device() const { return device_count == 0 ? 0 : max_slots(slot_count(), device_count); }
};

/// Experts of each device of a layer in slot order, ascending: [device][slot].
std::vector<std::vector<std::int32_t>> slots_of(const Mapping& mapping, std::size_t layer);

/// [layer, device, slot] expert ids, -1 where a device has no such slot.
Cube<std::int32_t> slots_of(const Mapping& mapping);

/// The reverse, once the first homes are there: sets the number of devices and, from what the slots (-1: empty) hold
/// beside each expert's home, the copies. DataError unless every expert has a slot at its home, and every layer as many
/// copies.
void take_slots(Mapping& mapping, const Cube<std::int32_t>& slots);

/// Every expert has a home in 0 .. device_count - 1, every device fills its slots (expert_slots.hpp) in each layer and
/// holds none twice, copies divide; DataError naming `origin`, the layer and what is wrong otherwise.
void check_mapping(const Mapping& mapping, const std::string& origin);

/// Which numbers of copies divide with the experts over the devices: "a multiple of 8", or "16 and any multiple of 24
/// more".
std::string copies_that_divide(std::size_t expert_count, std::size_t device_count);

/// UsageError, with the remedy, unless there are devices and each can have an expert.
void check_device_count(std::size_t expert_count, std::size_t device_count);

}  // namespace gem
