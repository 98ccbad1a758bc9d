#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "verification/report.hpp"

namespace gem {

/// Seconds of a mean step by what they are spent on: of the mean device, and what it waits for the slowest.
struct StepShares {
  double attention_s = 0.0;  ///< all before dispatch
  double experts_s = 0.0;
  double shared_s = 0.0;
  double exchange_s = 0.0;
  double waiting_s = 0.0;
  double tail_s = 0.0;  ///< layers without experts beside their attention, and the head
  double sum_s() const { return attention_s + experts_s + shared_s + exchange_s + waiting_s + tail_s; }
};

/// Times of some steps or requests, and how they compare with the first mapping's.
struct TimesPerToken {
  double mean_s = 0.0;
  double p50_s = 0.0, p90_s = 0.0, p99_s = 0.0;
  double relative = 1.0;        ///< mean relative to the first mapping's
  Interval interval{1.0, 1.0};  ///< 95 % bootstrap interval of it over steps
};

/// What whole decoder steps take under one mapping.
struct WholeStep {
  std::string name;
  std::vector<double> step_s;  ///< [step]
  TimesPerToken step;          ///< time per output token: a step's time
  TimesPerToken output;        ///< the same over the output of a request; only where its tokens are given
  StepShares shares;
  double predicted_s = 0.0;     ///< mean step with the experts' compute as predicted
  double median_error = 0.0;    ///< median over steps of |predicted / measured - 1|
  double above_balanced = 0.0;  ///< mean step relative to the force-balanced one's, minus 1
};

/// [step] seconds: over layers, the slowest device's part before dispatch, its experts (with dispatch, where that was
/// timed) and shared experts, and the exchange; in proportion for MoE layers that weren't replayed; layers without
/// experts with the mean layer's attention; and the slowest device's head. `experts_s` [step, layer, device] stands for
/// the replay's compute.
std::vector<double> whole_step_times(const MappingReplay& replay, const Cube<double>& experts_s,
                                     const StepSetting& setting);

/// In the order of the report's mappings, the force-balanced steps last; the report must have whole steps.
std::vector<WholeStep> whole_steps(const VerificationReport& report, std::uint64_t seed);

/// Tables of times and shares, with what they are made of and what isn't in them.
std::string whole_step_table(const VerificationReport& report, const std::vector<WholeStep>& steps);

}  // namespace gem
