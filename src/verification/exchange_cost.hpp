#pragma once

#include <optional>
#include <string>

#include "verification/report.hpp"

namespace gem {

/// What dispatch and combine of a layer cost, as a straight line through all layers that were replayed: a constant, and
/// a time for each row of the device that gets most. What they cost is a layer's time less its slowest device's
/// compute.
struct ExchangeCost {
  double mean_s = 0.0;
  double fixed_s = 0.0;
  double row_s = 0.0;
  double explained = 0.0;  ///< part of the variance that the line explains, 0 to 1
};

/// Least squares over every (mapping, step, layer). Nothing where whole layers weren't timed, rows are unknown, or all
/// layers have equally many.
std::optional<ExchangeCost> exchange_cost_of(const VerificationReport& report);

/// One line, with what gem-map makes of it; empty where there is no cost.
std::string exchange_line(const VerificationReport& report);

}  // namespace gem
