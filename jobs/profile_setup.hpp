#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "platform/command_line/program.hpp"
#include "profile/latency_table.hpp"
#include "profile/profile_job.hpp"
#include "profile/validation.hpp"

namespace gem {

/// What gem-profile was asked for.
struct ProfileOptions : ProfileRequest {
  std::string output = "profile.h5";
  std::size_t validation_loads = 0;  ///< of each source
  std::string for_trace;             ///< files of the workloads, with commas
  std::string trace;                 ///< steps that loads are drawn from
  std::string validation_output;     ///< CSV, or empty
  bool check = false;                ///< whether the devices differ, instead of a profile
  std::string compare;               ///< profiles to say so of, separated by commas, or empty
  std::string from_table;            ///< CSV of latencies that others measured, or empty
  std::string table_columns;         ///< as in LatencyTableOptions
  bool resume = false;
  bool dry_run = false;
};

void describe(OptionList& options, ProfileOptions& job);

/// The files of --for-trace.
std::vector<std::string> workload_files(const ProfileOptions& options);

/// False if --help, --version or --list-models was answered.
bool parse_profile_options(ProfileOptions& options, const Arguments& arguments);

/// Reads the files of --for-trace. DataError for one that isn't a trace.
void read_workloads(ProfileOptions& options);

/// The loads of --validate, the same on every rank.
ValidationLoads draw_validation_loads(const ProfileOptions& options, const ProfileSetup& setup);

/// The profile of --from-table, for so many devices as the options say. UsageError or DataError for what it hasn't.
TabulatedProfile read_latency_table(const ProfileOptions& options);

/// Every point in measuring order.
std::string point_table(const LatencyProfile& plan);
JsonRecord plan_record(const LatencyProfile& plan);

}  // namespace gem
