#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "model/latency_profile.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Loads as serving brings them, [load][slot] tokens, to choose the load rule by: they are skewed, the points of a plan
/// are even. From random steps, layers and experts of the workloads, some around a busy expert; without any, random
/// ones with half a tile to four tiles an expert, as far as the plan reaches.
std::vector<std::vector<std::uint32_t>> serving_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                      std::size_t count, std::uint64_t seed);

/// Loads that a rule isn't made from, to try it on: of the workloads, as above; without any, random ones of all that
/// the plan reaches, since nobody knows what comes.
std::vector<std::vector<std::uint32_t>> trial_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                    std::size_t count, std::uint64_t seed);

/// The rule with which the profile's surfaces predict best what these loads took, [device, load] seconds: what tiles
/// beyond each of a few bends and rows cost, by least absolute deviations. It is made from the first loads; plain
/// unless it errs less on the last `trial_count`, in the mean and at the 90th percentile.
LoadCosts choose_load_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                           const Matrix<double>& measured_s, std::size_t trial_count);

}  // namespace gem
