#pragma once

#include <cstddef>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/json_record.hpp"
#include "batch/manifest.hpp"
#include "batch/pair_run.hpp"
#include "platform/mpi/mpi.hpp"

namespace gem {

struct BatchOptions {
  std::vector<std::size_t> selected;  ///< indices of the manifest's pairs; empty: all, and the run owns the directory
  std::optional<BatchStage> only{};   ///< the stage to run; none: all
  double begin_within_s = std::numeric_limits<double>::infinity();  ///< pairs that would begin later are left
  bool resume = false;                                              ///< keep what is there and fresh
  bool quiet = false;
  bool live = false;  ///< redraw the table in place even if no terminal is seen
  std::string command_line;
};

/// Runs the pairs of a manifest. On real devices each takes all ranks, one pair after the other; simulated ones run
/// side by side, on as many groups of ranks as there are pairs and ranks. A failed pair leaves its sentence in
/// error.txt and doesn't stop the others. Returns Interrupted if it was asked to stop or its time was up, else the code
/// of the first failed pair, else Good. UsageError if another run has the directory. Collective.
ExitCode run_batch(const Communicator& world, const Manifest& manifest, const BatchOptions& options);

/// A line for each pair that failed, of those selected: its name and why.
std::string describe_failures(const Manifest& manifest, const BatchOptions& options);

/// The manifest's pairs, for --json; with `resume` also whether something is left to do.
JsonRecord pair_record(const Manifest& manifest, bool resume);

/// The manifest's pairs as a plain table for --dry-run: profile, steps, methods; with `resume` also what is left to do.
std::string pair_table(const Manifest& manifest, bool resume);

}  // namespace gem
