#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/array.hpp"
#include "model/device_description.hpp"
#include "model/exchange_law.hpp"
#include "model/load_rule.hpp"
#include "model/moe_model.hpp"
#include "model/topology.hpp"

namespace gem {

/// Most tiles, experts or tokens of a load.
constexpr std::int64_t greatest_load = std::int64_t{1} << 30;

/// A load that a device is measured at. `tokens` are rows before padding; at a tile boundary tokens = tiles x
/// tile_tokens.
struct LoadPoint {
  std::int64_t tiles = 0;
  std::int64_t active_experts = 0;
  std::int64_t tokens = 0;
  bool operator==(const LoadPoint&) const = default;
};

/// State of a device around a measurement; NaN (0 for the reasons) where it cannot be read.
struct Telemetry {
  double sm_clock_hz;
  double power_w;
  double temperature_c;
  std::uint64_t throttle_reasons;  ///< NVML bits
};

/// How fast two devices send each other bytes, both directions at once. [device, device], symmetric, NaN for a device
/// with itself; empty if it wasn't measured.
struct PairExchange {
  std::string transport;       ///< "nccl" or "mpi"
  Matrix<double> latency_s;    ///< of a few bytes
  Matrix<double> bytes_per_s;  ///< each way, of messages so large that latency doesn't count
  bool empty() const { return latency_s.rows() == 0; }
  bool operator==(const PairExchange&) const = default;
};

/// Of a kernel that changes its tile with the load: what it does for loads of so many rows of a device.
struct TileRegime {
  std::int64_t rows_from = 0;   ///< fewest rows
  std::int64_t rows_to = 0;     ///< most rows
  std::size_t tile_tokens = 0;  ///< rows that are computed together
  std::size_t point_count = 0;  ///< points of LatencyProfile::regime_points
  bool operator==(const TileRegime&) const = default;
};

/// Measured latency of one MoE layer's expert part over load, for every device.
struct LatencyProfile {
  std::string model;
  std::string device_kind;   ///< of all devices; empty if unknown
  std::string weight_dtype;  ///< "bf16", "f32" or "fp8"
  ExpertShape expert;        ///< zeros if unknown
  std::size_t tile_tokens = 0;
  std::size_t experts_per_device = 0;  ///< most experts that the plan activates on one device
  LoadCosts rule;                      ///< what skew adds, see load_rule()
  std::vector<DeviceDescription> devices;
  std::vector<LoadPoint> points;
  Matrix<double> median_s;                 ///< [device, point]
  Matrix<double> p95_s;                    ///< [device, point]
  Cube<float> samples_s;                   ///< [device, point, sample], NaN where fewer
  Matrix<std::uint8_t> settled;            ///< [device, point], 0 where the stopping rule hit its bounds
  Matrix<double> sm_clock_hz;              ///< [device, point]
  Matrix<double> power_w;                  ///< [device, point]
  Matrix<double> temperature_c;            ///< [device, point]
  Matrix<std::uint64_t> throttle_reasons;  ///< [device, point], NVML bits
  std::vector<double> drift;  ///< [device], first point measured again at the end, relative to the first time, minus 1

  PairExchange exchange;
  std::vector<ExchangeLaw> exchange_law;  ///< ascending by tokens; empty if it wasn't measured
  Topology topology;
  std::string pace;                      ///< "serving": between samples devices did what they do in a step; or empty
  std::vector<double> serving_clock_hz;  ///< [device] at that pace, before the sweep; NaN if unknown; empty without
  // For a kernel with several tiles, one surface each; `points` are then those of the tile that most loads meet, which
  // are here once more. Nothing is fitted to skew then: `rule` is plain.
  std::vector<TileRegime> regimes;          ///< ascending by rows; empty for one tile
  std::vector<LoadPoint> regime_points;     ///< [regime point], one regime's after the other's
  Matrix<double> regime_median_s;           ///< [device, regime point]
  std::vector<std::int64_t> shared_tokens;  ///< of one device, ascending; empty if shared experts weren't measured
  Matrix<double> shared_s;                  ///< [device, shared load] that its shared experts take for these tokens
  DeviceProgram program;                    ///< that stands for the devices; empty for GEM's own kernels
  bool operator==(const LatencyProfile&) const = default;

  std::size_t device_count() const { return devices.size(); }
  /// How experts add up to a load on these devices.
  LoadRule load_rule() const { return {static_cast<std::uint32_t>(std::max<std::size_t>(1, tile_tokens)), rule}; }
  /// The same in every tile that the kernel has.
  LoadRules load_rules() const;
};

inline LoadRules LatencyProfile::load_rules() const {
  if (regimes.empty()) return LoadRules(load_rule());
  std::vector<LoadRules::Regime> rules;
  for (const TileRegime& regime : regimes)
    rules.push_back({regime.rows_to, {static_cast<std::uint32_t>(regime.tile_tokens), {}}});
  return LoadRules(std::move(rules));
}

/// Where a regime's points begin in LatencyProfile::regime_points.
inline std::size_t first_point_of(const LatencyProfile& profile, std::size_t regime) {
  std::size_t first = 0;
  for (std::size_t r = 0; r < regime; ++r) first += profile.regimes[r].point_count;
  return first;
}

}  // namespace gem
