#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// One point of the plan as all devices measured it.
struct ProfileRow {
  std::size_t point = 0;              ///< index into the plan's points
  std::vector<double> median_s;       ///< [device]
  std::vector<double> p95_s;          ///< [device]
  Matrix<float> samples_s;            ///< [device, sample], NaN where a device has fewer; rows differ in columns
  std::vector<std::uint8_t> settled;  ///< [device], 0 where the stopping rule hit its bounds
  std::vector<Telemetry> telemetry;   ///< [device]
};

/// What a sweep finds out after its last point.
struct SweepClosing {
  std::vector<double> drift;  ///< [device], as in LatencyProfile
  LoadCosts rule{};           ///< what skew adds
};

/// Where a sweep puts its rows as they are finished. Called on rank 0 only.
class ProfileSink {
 public:
  virtual ~ProfileSink() = default;

  /// Before the first measurement. `plan` is a profile with everything but results: model, shape, devices and all
  /// points, in measuring order; its matrices are empty. Returns the rows that an earlier run of the same plan left
  /// behind (none for a new file), which are not measured again. DataError if what is there belongs to another plan.
  virtual std::vector<ProfileRow> begin(const LatencyProfile& plan) = 0;

  /// Adds a finished row; once it returns, the row outlives a kill of the job.
  virtual void append(const ProfileRow& row) = 0;

  /// After the last row. The file gets its final name here.
  virtual void finish(const SweepClosing& closing) = 0;
};

/// The profile that a plan and its rows make, in whatever order these were measured. Points without a row are NaN.
LatencyProfile assemble_profile(const LatencyProfile& plan, std::span<const ProfileRow> rows,
                                const SweepClosing& closing);

}  // namespace gem
