#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "model/latency_profile.hpp"

namespace gem {

/// Skewed loads, [load][slot] tokens: what the points of a plan, spread evenly, don't show. None if a device has one
/// expert.
std::vector<std::vector<std::uint32_t>> skewed_loads(const LatencyProfile& plan, std::size_t count, std::uint64_t seed);

/// The rule with which the profile's surfaces predict best what these loads took, [device, load] seconds; plain tiles
/// unless another rule errs clearly less.
WorkRule choose_work_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                          const Matrix<double>& measured_s);

}  // namespace gem
