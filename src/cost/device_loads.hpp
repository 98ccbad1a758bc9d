#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/array.hpp"
#include "model/expert_copies.hpp"
#include "model/load_rule.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// Load of a device whose experts get so many tokens each.
DeviceLoad load_of(std::span<const std::uint32_t> tokens, const LoadRule& rule);

/// The same by the rule of its own rows.
DeviceLoad load_of(std::span<const std::uint32_t> tokens, const LoadRules& rules);

/// What each device gets, [device], of a layer's tokens in a step, [expert]. Overwrites `loads`.
void sum_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const LoadRule& rule,
               std::span<DeviceLoad> loads);

/// The same, each device by the rule of its own rows.
void sum_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const LoadRules& rules,
               std::span<DeviceLoad> loads);

/// Where tokens go in a layer of a step, until the next call.
using HomesAt = std::function<const ExpertHomes&(std::size_t step, std::size_t layer)>;

/// [step, layer] rows of the device that gets the most.
Matrix<double> max_rows(const LoadTrace& trace, const HomesAt& homes_at, std::size_t device_count);

/// The same of homes that are those of every step; homes: [layer].
Matrix<double> max_rows(const LoadTrace& trace, const std::vector<ExpertHomes>& homes, std::size_t device_count);

}  // namespace gem
