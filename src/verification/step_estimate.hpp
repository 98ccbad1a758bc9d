#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verification/report.hpp"

namespace gem {

/// What one mapping makes of a step of the whole model: its MoE layers as measured, the rest as stated.
struct StepEstimate {
  double moe_s = 0.0;     ///< mean over steps of all MoE layers, from those replayed in proportion
  double rest_s = 0.0;    ///< the stated rest of all these layers
  double step_s = 0.0;    ///< both
  double relative = 1.0;  ///< step_s relative to the first mapping's
  double relative_low = 1.0, relative_high = 1.0;  ///< 95 % bootstrap interval over steps
};

/// Whether a rest was stated.
bool has_step_estimate(const VerificationReport& report);

/// In the order of the report's mappings. A MoE layer counts with its whole time where that was measured, else with the
/// compute of its slowest device.
std::vector<StepEstimate> estimate_steps(const VerificationReport& report, std::uint64_t seed);

/// The estimates as a table under a line that says what they are made of.
std::string step_estimate_table(const VerificationReport& report, const std::vector<StepEstimate>& estimates);

}  // namespace gem
