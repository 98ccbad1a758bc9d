#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "device/moe_device.hpp"
#include "platform/mpi/mpi.hpp"
#include "platform/mpi/turns.hpp"
#include "profile/pace.hpp"
#include "profile/stopping.hpp"

namespace gem {

/// Devices of one rank, owned by somebody else.
using DeviceList = std::span<const std::unique_ptr<MoeDevice>>;

struct MeasurementOptions {
  StoppingRule stopping;
  std::size_t warm_up = 2;        ///< calls before the first sample of a load
  double device_warm_up_s = 0.5;  ///< before the first load, for devices on a real clock
  std::size_t visit_samples = 2;  ///< of a load before the next load's turn, for devices on a real clock
  std::size_t layer_count = 1;    ///< layers whose weights rotate, so that caches are as cold as in serving
  std::size_t block_loads = 32;   ///< loads that are gone round together; a kill of the job loses those under way
  bool take_turns = false;        ///< ranks of a host measure one after the other, because they share a device
  /// [slot] load that keeps devices busy before each sample, launched `least_busy_launches` times and on until it has,
  /// with the sample, `busy_rows` rows; empty: nothing. Without it a GPU rests while the host prepares a short sample,
  /// and its clock is higher than under long ones.
  std::vector<std::uint32_t> busy_tokens{};
  std::size_t least_busy_launches = 1;
  std::size_t busy_rows = 0;
  std::optional<PacedStep> paced{};  ///< what devices do between samples instead, at the pace of serving
};

/// How often the busy load is launched before a sample of so many rows.
std::size_t busy_launches(const MeasurementOptions& options, std::size_t sample_rows);

/// What is measured: the number of the measurement, and the tokens per slot of each call, which may rotate.
struct MeasuredLoad {
  std::uint32_t number;
  std::function<std::vector<std::uint32_t>(std::size_t call)> tokens_per_slot;
  std::function<double(std::size_t device)> seconds{};  ///< runs, on a device of this rank, something else in its place
};

/// What one device gave under one load.
struct DeviceSamples {
  std::vector<double> latency_s;
  double spent_s = 0.0;  ///< by the clock that the device runs on
  StoppingDecision decision = StoppingDecision::Continue;
  Telemetry telemetry{};  ///< after the last sample
};

/// One load's samples, [device of this rank].
using Samples = std::vector<DeviceSamples>;

/// This rank's devices, measuring in step with those of the other ranks: the same load at the same moment, after a
/// barrier, until the rule lets no device go on. Devices on a real clock go round and round a block of loads, few
/// samples a visit, so that clock and heat, which follow the mix of work over some tenths of a second, are the same for
/// every load. Where all are on a virtual clock, a load is done in one visit. All members are collective.
class Measurement {
 public:
  Measurement(const Communicator& ranks, DeviceList devices, const MeasurementOptions& options);

  /// Goes round the loads until clocks and caches are as they are at work.
  void warm_devices(std::span<const MeasuredLoad> loads);

  /// [device of this rank] clocks after some tenths of a second at the pace of serving; empty without.
  std::vector<double> serving_clocks_hz();

  /// Is given the number of a load within the list, and its samples, on all ranks at the same moment.
  using OnDone = std::function<void(std::size_t, const Samples&)>;

  /// [load][device of this rank]. `on_done` is called for each load as soon as it is done.
  std::vector<Samples> measure(std::span<const MeasuredLoad> loads, const OnDone& on_done);

 private:
  void measure_block(std::span<const MeasuredLoad> loads, std::span<Samples> all, const OnDone& on_done);
  void keep_busy(std::size_t layer, const std::vector<std::uint32_t>& next_tokens);
  void begin_visit(const MeasuredLoad& load, std::size_t visit);
  void take_samples(const MeasuredLoad& load, std::size_t count, Samples& samples);
  // How many samples all devices take next, where each has sample_count of this load: the fewest that one which must go
  // on wants; 0 if none must. `recent` tells what a sample costs.
  std::size_t agreed_count(const Samples& recent, std::size_t sample_count) const;

  const Communicator& ranks_;
  DeviceList devices_;
  MeasurementOptions options_;
  Turns turns_;
  bool virtual_clock_;
  std::unique_ptr<ServingPace> pace_;  // null: busy
  std::size_t calls_ = 0;
};

}  // namespace gem
