#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/random.hpp"
#include "search/layer_problem.hpp"

namespace gem::testing {

/// A profile of made-up devices: launch + weights + tiles in waves of 4, slowed down device by device; not convex.
inline LatencyProfile made_up_profile(std::size_t device_count, std::size_t max_experts, double spread = 1.28) {
  LatencyProfile profile;
  profile.model = "made-up";
  profile.tile_tokens = 16;
  for (std::int64_t active = 1; active <= static_cast<std::int64_t>(max_experts); ++active)
    for (std::int64_t tiles = active; tiles <= active + 60; tiles += tiles < 20 ? 1 : 5)
      profile.points.push_back({tiles, active, tiles * 16});
  profile.devices.resize(device_count);
  profile.median_s = Matrix<double>(device_count, profile.points.size());
  for (std::size_t d = 0; d < device_count; ++d) {
    profile.devices[d].name = "made-up";
    const double slowdown =
        1.0 +
        (spread - 1.0) * (device_count > 1 ? static_cast<double>(d) / static_cast<double>(device_count - 1) : 0.0);
    for (std::size_t p = 0; p < profile.points.size(); ++p) {
      const auto tiles = static_cast<double>(profile.points[p].tiles);
      const auto active = static_cast<double>(profile.points[p].active_experts);
      profile.median_s(d, p) = 5e-6 + std::max(slowdown * 3e-6 * std::ceil(tiles / 4.0) * 4.0, 4e-6 * active);
    }
  }
  return profile;
}

/// Skewed loads with bursts: every expert has a mean of its own, and in a third of the steps one group is three times
/// as busy.
inline LoadTrace made_up_trace(std::size_t steps, std::size_t layers, std::size_t experts, std::uint64_t seed) {
  LoadTrace trace;
  trace.model = "made-up";
  trace.task = "random";
  trace.counts = Cube<std::uint32_t>(steps, layers, experts);
  for (std::size_t l = 0; l < layers; ++l) {
    trace.layer_ids.push_back(static_cast<std::int32_t>(l));
    RandomStream random{seed, l};
    std::vector<double> means(experts);
    for (double& mean : means) mean = 30.0 * random.gamma(0.8);
    for (std::size_t t = 0; t < steps; ++t) {
      const std::uint64_t busy = random.below(3 * experts);
      for (std::size_t e = 0; e < experts; ++e) {
        const double mean = means[e] * (e / 2 == busy / 2 ? 3.0 : 1.0);
        trace.counts(t, l, e) = static_cast<std::uint32_t>(mean * random.gamma(2.0) / 2.0);
      }
    }
  }
  return trace;
}

/// The same of layers of different numbers of experts.
inline LoadTrace made_up_uneven_trace(std::size_t steps, const LayerExperts& experts, std::uint64_t seed) {
  const auto width = static_cast<std::size_t>(*std::ranges::max_element(experts));
  LoadTrace trace = made_up_trace(steps, experts.size(), width, seed);
  trace.top_k = 2;
  trace.tokens_per_step = 1;
  trace.experts_of_layer = experts;
  for (std::size_t t = 0; t < steps; ++t)
    for (std::size_t l = 0; l < experts.size(); ++l)
      std::ranges::fill(trace.counts.row(t, l).subspan(static_cast<std::size_t>(experts[l])), 0u);
  return trace;
}

struct MadeUp {
  LatencyProfile profile;
  LoadTrace trace;
  std::vector<LayerProblem> problems;
};

/// No rule, one by which skew and the filling of last tiles matter, and one with two bends.
inline std::vector<LoadCosts> load_rules() {
  return {{}, {.last_tile_rows = 8, .row_s = 3e-8, .bends = {{1, 4e-7}}}, {.bends = {{1, 4e-7}, {2, 1e-6}}}};
}

inline MadeUp made_up_problem(std::size_t experts, std::size_t devices, std::size_t steps, std::uint64_t seed,
                              std::size_t layers = 1, LoadFeatures features = LoadFeatures::TilesAndExperts,
                              const LoadCosts& rule = {}) {
  MadeUp made{made_up_profile(devices, max_slots(experts, devices)), made_up_trace(steps, layers, experts, seed), {}};
  made.profile.rule = rule;
  made.problems = layer_problems(CostModel(made.profile, {.features = features}), made.trace);
  return made;
}

/// Cost in ticks the slow and obvious way: one stage, one step, one device, one expert after the other.
inline std::int64_t cost_by_hand(const LayerCost& layer, const Assignment& assignment) {
  std::int64_t cost = 0;
  for (std::size_t stage = 0; stage < layer.stage_count(); ++stage)
    for (std::size_t t = 0; t < layer.step_count(); ++t) {
      const std::size_t column = layer.first_column(stage) + t;
      std::int32_t slowest = 0;
      for (std::size_t d = 0; d < layer.device_count(); ++d) {
        std::int32_t load = layer.tables().first_entry(stage), added = 0;
        for (std::size_t e = 0; e < assignment.size(); ++e) {
          if (assignment[e] != static_cast<std::int32_t>(d)) continue;
          const LoadRow row = layer.row(static_cast<std::int32_t>(e));
          load += row.key[column];
          added += row.added != nullptr ? row.added[column] : 0;
        }
        slowest = std::max(slowest, layer.tables().of(d)[static_cast<std::size_t>(load)] + added);
      }
      cost += slowest;
    }
  return cost;
}

/// Calls `visit` with every assignment of the problem's experts that fills each device's slots.
template <class Visit>
void for_each_assignment(const LayerProblem& problem, Visit visit) {
  Assignment assignment(problem.expert_count());
  for (std::size_t e = 0; e < assignment.size(); ++e)
    assignment[e] = static_cast<std::int32_t>(device_of_slot(e, assignment.size(), problem.device_count()));
  do visit(assignment);
  while (std::next_permutation(assignment.begin(), assignment.end()));
}

}  // namespace gem::testing
