#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "files/provenance.hpp"
#include "model/profile_progress.hpp"
#include "platform/file_system/file_lock.hpp"

namespace gem {

/// Saves a profile while it is measured as `OUTPUT.partial`, a `gem.profile` file that is always whole; at the end it
/// becomes OUTPUT. It is saved at most once in `least_interval`, and less often where saving takes long. A lock keeps
/// others from measuring into the same files meanwhile: a UsageError, for them. Errors of the disk are a SystemError;
/// what was saved before stays.
class ProfileWriter : public ProfileSink {
 public:
  using Seconds = std::chrono::duration<double>;

  /// With `resume`, what an earlier run of the same plan and seed measured is taken over from `OUTPUT.partial`, if
  /// there is one; without, it is replaced.
  ProfileWriter(const std::string& output, const Provenance& provenance, bool resume,
                Seconds least_interval = Seconds(1.0));

  LatencyProfile begin(const LatencyProfile& plan) override;
  void grow(const LatencyProfile& profile) override;
  void stop(const LatencyProfile& profile) override;
  void finish(const LatencyProfile& profile) override;

 private:
  using Clock = std::chrono::steady_clock;
  void save(const LatencyProfile& profile);
  void save_more(const LatencyProfile& profile);

  std::string output_;
  std::string partial_;
  Provenance provenance_;
  bool resume_;
  std::optional<FileLock> lock_;
  Seconds least_interval_;
  Clock::time_point next_save_{};
  std::size_t saved_points_ = 0;
};

}  // namespace gem
