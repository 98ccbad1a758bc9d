#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/statistics.hpp"
#include "verification/report.hpp"

namespace gem {

/// Steps that are drawn together: about the square root of their number, because requests go on over many steps.
std::size_t block_length(std::size_t steps);

/// bootstrap_ratio over stretches of `block` consecutive steps (circular: the first step follows the last) instead of
/// single ones, so that what neighbouring steps have in common is counted.
Interval bootstrap_blocks(std::span<const double> numerator, std::span<const double> denominator, std::size_t block,
                          std::uint64_t seed, std::size_t resamples = 2000, double confidence = 0.95);

/// A sentence with the interval of the judged ratio over blocks, and how much wider than that over steps it is; empty
/// where there is nothing to compare.
std::string block_interval_sentence(const VerificationReport& report, const MappingSummary& judged);

}  // namespace gem
