#include "files/profile_writer.hpp"

#include <fmt/core.h>
#include <cstdio>
#include <filesystem>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/text.hpp"
#include "files/partial_profile.hpp"
#include "files/profile_file.hpp"

namespace gem {
ProfileWriter::ProfileWriter(const std::string& output, const Provenance& provenance, bool resume)
    : output_(output), partial_(output + ".partial"), provenance_(provenance), resume_(resume) {}

std::vector<ProfileRow> ProfileWriter::begin(const LatencyProfile& plan) {
  plan_ = plan;
  rows_.clear();
  lock_.reset();
  lock_.emplace(output_ + ".lock", FileLock::Kind::Exclusive, false, output_);
  try {
    if (resume_ && std::filesystem::exists(partial_)) rows_ = read_partial_rows(partial_, plan, provenance_.seed);
    // What was read goes into a new file, so that no kill can harm the old one; it takes its place when as good.
    file_ = start_partial_profile(partial_, plan, provenance_);
    for (const ProfileRow& row : rows_) append_partial_row(*file_, row);
    file_->publish();
  } catch (...) {
    lock_.reset();  // what could not begin holds nobody up
    throw;
  }
  return rows_;
}

void ProfileWriter::append(const ProfileRow& row) {
  try {
    append_partial_row(*file_, row);
  } catch (const SystemError& error) {
    throw SystemError(fmt::format("{}; the {} points finished so far are kept: go on with {} then", error.what(),
                                  rows_.size(), on_command_line("resume")));
  }
  rows_.push_back(row);
}

void ProfileWriter::finish(const SweepClosing& closing) {
  if (rows_.size() != plan_.points.size())
    throw SystemError(fmt::format("cannot write {}: {} of {} points were measured; go on with {}", output_,
                                  rows_.size(), plan_.points.size(), on_command_line("resume")));
  write_profile(output_, assemble_profile(plan_, rows_, closing), provenance_);
  file_.reset();
  std::remove(partial_.c_str());
  lock_.reset();
}

}  // namespace gem
