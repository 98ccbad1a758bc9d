#include "files/profile_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/error.hpp"
#include "base/option.hpp"
#include "files/profile_file.hpp"

namespace gem {
namespace {

// Saving takes a twentieth of the time at most.
constexpr double least_rest = 20.0;

}  // namespace

ProfileWriter::ProfileWriter(const std::string& output, const Provenance& provenance, bool resume,
                             Seconds least_interval)
    : output_(output),
      partial_(output + ".partial"),
      provenance_(provenance),
      resume_(resume),
      least_interval_(least_interval) {}

LatencyProfile ProfileWriter::begin(const LatencyProfile& plan) {
  lock_.reset();
  lock_.emplace(output_ + ".lock", FileLock::Kind::Exclusive, false, output_);
  try {
    const bool goes_on = resume_ && std::filesystem::exists(partial_);
    LatencyProfile profile = goes_on ? read_unfinished_profile(partial_, plan, provenance_.seed) : unmeasured(plan);
    save(profile);
    next_save_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(least_interval_);  // this one made the file
    return profile;
  } catch (...) {
    lock_.reset();  // what could not begin holds nobody up
    throw;
  }
}

void ProfileWriter::grow(const LatencyProfile& profile) {
  if (Clock::now() >= next_save_) save_more(profile);
}

void ProfileWriter::stop(const LatencyProfile& profile) {
  save_more(profile);
}

void ProfileWriter::save_more(const LatencyProfile& profile) {
  try {
    save(profile);
  } catch (const SystemError& error) {
    throw SystemError(fmt::format("{}; the {} points saved before are kept: go on with {} then", error.what(),
                                  saved_points_, on_command_line("resume")));
  }
}

void ProfileWriter::finish(const LatencyProfile& profile) {
  const std::size_t measured = measured_count(profile);
  if (measured != load_count(profile))
    throw SystemError(fmt::format("cannot write {}: {} of {} points were measured; go on with {}", output_, measured,
                                  load_count(profile), on_command_line("resume")));
  write_profile(output_, profile, provenance_);
  std::remove(partial_.c_str());
  lock_.reset();
}

void ProfileWriter::save(const LatencyProfile& profile) {
  const Clock::time_point begin = Clock::now();
  write_profile(partial_, profile, provenance_);
  saved_points_ = measured_count(profile);
  const Clock::time_point end = Clock::now();
  next_save_ =
      end + std::chrono::duration_cast<Clock::duration>(std::max(least_interval_, least_rest * Seconds(end - begin)));
}

}  // namespace gem
