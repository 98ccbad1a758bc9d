#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "batch/batch_run.hpp"
#include "batch/manifest.hpp"
#include "platform/command_line/program.hpp"

namespace gem {

/// What gem-batch was asked for.
struct BatchProgramOptions {
  std::string manifest, output;
  std::vector<std::string> pairs;
  std::vector<std::string> overrides;  ///< of the manifest's keys
  std::size_t ranks = 0;
  std::optional<BatchStage> only;
  std::optional<double> begin_within_s;
  bool resume = false, dry_run = false, list = false, summary = false, live = false, quiet = false;

  bool only_shows() const { return list || dry_run || summary; }
};

void describe(OptionList& options, BatchProgramOptions& job);

/// Reads the options; false if --help or --version was answered.
bool parse_batch_options(BatchProgramOptions& options, const Arguments& arguments);

/// The pairs that words mean, by index or by name; UsageError for one that is not in the manifest.
std::vector<std::size_t> selected_pairs(const Manifest& manifest, const std::vector<std::string>& words);

/// One line a pair, "INDEX NAME", for scripts; with `resume` of those alone that are not whole.
std::string pair_list(const Manifest& manifest, bool resume);

}  // namespace gem
