#pragma once

#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "batch/manifest.hpp"

namespace gem {

/// One method of one pair, as the files of the pair tell.
struct SummaryRow {
  std::string pair;
  std::string state;                ///< "done", "stale" (a resumed run would do it again), "failed" or "missing"
  std::string method;               ///< empty unless done
  double test_s = 0.0;              ///< predicted, a step of the scored part; NaN where nothing was scored
  double test_vs_linear = 0.0;      ///< NaN likewise
  double above_bound = 0.0;         ///< over the lower bound, minus 1; NaN likewise
  double measured_vs_linear = 0.0;  ///< NaN where it was not verified
  double low = 0.0, high = 0.0;     ///< its 95 % interval
  bool in_sample = false;
  double extrapolated = 0.0;  ///< share of the loads of a device that are beyond its profile; NaN where unknown
  std::string error;          ///< why it failed
};

/// Reads what the pairs have left in the output directory.
std::vector<SummaryRow> summarize_batch(const Manifest& manifest);

/// The rows, for --json.
JsonRecord summary_record(const std::vector<SummaryRow>& rows);

/// How many pairs are done, the best and the worst of them by their last method, and why some failed: what a terminal
/// shows of many pairs. `devices` says what the figures are of.
std::string brief_summary(const std::vector<SummaryRow>& rows, const std::string& devices);

/// Writes OUTPUT/summary.csv and OUTPUT/summary.md; returns what a terminal
/// shows: the same or, of many pairs, the brief summary.
std::string write_summary(const Manifest& manifest);

}  // namespace gem
