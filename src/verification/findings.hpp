#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json_record.hpp"
#include "verification/exchange_cost.hpp"
#include "verification/report.hpp"
#include "verification/step_estimate.hpp"
#include "verification/whole_step.hpp"

namespace gem {

/// What comes of a replay, for people and programs.
struct Findings {
  std::vector<MappingSummary> summaries;  ///< in the order of the report's mappings
  std::vector<Cube<double>> waiting;      ///< likewise, see waiting_of()
  std::vector<StepEstimate> estimates;    ///< likewise; empty where no rest was stated
  std::optional<ExchangeLaw> exchange;    ///< none where there is none
  std::vector<WholeStep> whole_steps;     ///< force-balanced last; empty where none were replayed
  Verdict verdict = Verdict::Wrong;
  std::string text;  ///< the tables, how well it was predicted, and the verdict's sentence last
};

/// Sums up a replay and judges the mapping of that index.
Findings findings_of(const VerificationReport& report, std::size_t judged, std::uint64_t seed);

/// The figures of the tables, the verdict and its sentence.
JsonRecord findings_record(const VerificationReport& report, const Findings& findings, std::size_t judged);

}  // namespace gem
