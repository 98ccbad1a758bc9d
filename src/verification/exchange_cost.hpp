#pragma once

#include <optional>

#include "model/exchange_law.hpp"
#include "verification/report.hpp"

namespace gem {

/// What dispatch and combine cost over all layers that were replayed. What they cost is a layer's time less its slowest
/// device's compute. Least squares over every (mapping, step, layer). Nothing where whole layers weren't timed, rows
/// are unknown, or all layers have equally many.
std::optional<ExchangeLaw> exchange_cost_of(const VerificationReport& report);

/// One line, with what gem-map makes of it; empty where there is no cost.
std::string exchange_line(const VerificationReport& report);

}  // namespace gem
