#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "verification/report.hpp"

namespace gem {

/// What comes of a replay, for people and programs.
struct Findings {
  std::vector<MappingSummary> summaries;  ///< in the order of the report's mappings
  Verdict verdict = Verdict::Wrong;
  std::string text;  ///< the tables, how well it was predicted, and the verdict's sentence last
};

/// Sums up a replay and judges the mapping of that index.
Findings findings_of(const VerificationReport& report, std::size_t judged, std::uint64_t seed);

}  // namespace gem
