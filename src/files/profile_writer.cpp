#include "files/profile_writer.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "files/partial_profile.hpp"
#include "files/profile_file.hpp"

namespace gem {
namespace {

/// The profile that a plan and its rows make, whatever order they were measured in.
LatencyProfile assemble(const LatencyProfile& plan, const std::vector<ProfileRow>& rows) {
  const std::size_t devices = plan.devices.size();
  const std::size_t points = plan.points.size();
  std::size_t most_samples = 0;
  for (const ProfileRow& row : rows) most_samples = std::max(most_samples, row.samples_s.columns());
  LatencyProfile profile = plan;
  profile.median_s = Matrix<double>(devices, points);
  profile.p95_s = Matrix<double>(devices, points);
  profile.samples_s = Cube<float>(devices, points, most_samples, std::numeric_limits<float>::quiet_NaN());
  profile.settled = Matrix<std::uint8_t>(devices, points);
  profile.sm_clock_hz = Matrix<double>(devices, points);
  profile.power_w = Matrix<double>(devices, points);
  profile.temperature_c = Matrix<double>(devices, points);
  profile.throttle_reasons = Matrix<std::uint64_t>(devices, points);
  for (const ProfileRow& row : rows) {
    for (std::size_t device = 0; device < devices; ++device) {
      profile.median_s(device, row.point) = row.median_s[device];
      profile.p95_s(device, row.point) = row.p95_s[device];
      profile.settled(device, row.point) = row.settled[device];
      profile.sm_clock_hz(device, row.point) = row.telemetry[device].sm_clock_hz;
      profile.power_w(device, row.point) = row.telemetry[device].power_w;
      profile.temperature_c(device, row.point) = row.telemetry[device].temperature_c;
      profile.throttle_reasons(device, row.point) = row.telemetry[device].throttle_reasons;
      const auto samples_s = row.samples_s.row(device);
      std::copy(samples_s.begin(), samples_s.end(), profile.samples_s.row(device, row.point).begin());
    }
  }
  return profile;
}

}  // namespace

ProfileWriter::ProfileWriter(const std::string& output, const Provenance& provenance, bool resume)
    : output_(output), partial_(output + ".partial"), provenance_(provenance), resume_(resume) {}

std::vector<ProfileRow> ProfileWriter::begin(const LatencyProfile& plan) {
  plan_ = plan;
  rows_.clear();
  if (resume_ && std::filesystem::exists(partial_)) rows_ = read_partial_rows(partial_, plan, provenance_.seed);
  // What was read goes into a new file, so that no kill can harm the old one; it takes its place when as good.
  const std::string fresh = partial_ + ".new";
  try {
    file_ = std::make_unique<Hdf5GrowingFile>(fresh);
    start_partial_profile(*file_, plan, provenance_);
    for (const ProfileRow& row : rows_) append_partial_row(*file_, row);
    file_->rename(partial_);
  } catch (...) {
    file_.reset();
    std::remove(fresh.c_str());
    throw;
  }
  return rows_;
}

void ProfileWriter::append(const ProfileRow& row) {
  try {
    append_partial_row(*file_, row);
  } catch (const SystemError& error) {
    throw SystemError(
        format("%s; the %zu points finished so far are kept: go on with --resume then", error.what(), rows_.size()));
  }
  rows_.push_back(row);
}

void ProfileWriter::finish(std::span<const double> drift) {
  if (rows_.size() != plan_.points.size())
    throw SystemError(format("cannot write %s: %zu of %zu points were measured; go on with --resume", output_.c_str(),
                             rows_.size(), plan_.points.size()));
  LatencyProfile profile = assemble(plan_, rows_);
  profile.drift.assign(drift.begin(), drift.end());
  write_profile(output_, profile, provenance_);
  file_.reset();
  std::remove(partial_.c_str());
}

}  // namespace gem
