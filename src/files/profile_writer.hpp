#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/provenance.hpp"
#include "model/latency_profile.hpp"
#include "platform/file_system/file_lock.hpp"
#include "platform/file_system/record_file.hpp"
#include "profile/sink.hpp"

namespace gem {

/// Saves a sweep as it goes: every finished row is added to `OUTPUT.partial`, which outlives a kill; at the end all
/// rows become the `gem.profile` file OUTPUT and the partial file is removed. A lock keeps others from measuring into the
/// same files meanwhile: a UsageError, for them. Errors of the disk are a SystemError;
/// the rows written before stay.
class ProfileWriter : public ProfileSink {
 public:
  /// With `resume`, rows of an earlier run of the same plan and seed are taken over from `OUTPUT.partial`, if there is
  /// one; without, it is replaced.
  ProfileWriter(const std::string& output, const Provenance& provenance, bool resume);

  std::vector<ProfileRow> begin(const LatencyProfile& plan) override;
  void append(const ProfileRow& row) override;
  void finish(const SweepClosing& closing) override;

 private:
  std::string output_;
  std::string partial_;
  Provenance provenance_;
  bool resume_;
  LatencyProfile plan_;
  std::vector<ProfileRow> rows_;
  std::optional<FileLock> lock_;
  std::unique_ptr<RecordFile> file_;
};

}  // namespace gem
