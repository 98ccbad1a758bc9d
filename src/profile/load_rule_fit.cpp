#include "profile/load_rule_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/random.hpp"
#include "base/statistics.hpp"
#include "cost/device_loads.hpp"
#include "model/latency_surface.hpp"
#include "profile/random_loads.hpp"

namespace gem {
namespace {

constexpr std::array<std::uint32_t, 6> bends = {1, 2, 3, 4, 6, 8};

// A number for each cost that a rule can have: of a tile beyond each bend, and of a row of a last tile.
using Costs = std::array<double, bends.size() + 1>;

// One load on one device.
struct Sample {
  double measured_s;
  double even_s;  // as if it were spread evenly
  Costs amounts;  // tiles and rows more than evenly spread loads have: what costs can explain the rest by
};

// The rule of these costs; those of nothing are left out.
LoadCosts rule_of(const Costs& costs, const LatencyProfile& profile) {
  LoadCosts rule{.last_tile_rows = profile.rule.last_tile_rows};
  for (std::size_t b = 0; b < bends.size(); ++b)
    if (costs[b] > 0.0) rule.bends.push_back({bends[b], costs[b]});
  rule.row_s = costs.back();
  return rule;
}

Costs amounts_of(std::span<const std::uint32_t> load, const LatencyProfile& profile) {
  Costs amounts;
  for (std::size_t c = 0; c < amounts.size(); ++c) {
    Costs unit{};
    unit[c] = 1.0;
    const LoadRule rule{profile.load_rule().tile_tokens, rule_of(unit, profile)};
    const DeviceLoad sum = load_of(load, rule);
    amounts[c] = sum.added_s -
                 rule.costs.even_surplus_s(static_cast<double>(sum.tiles), static_cast<double>(sum.active_experts));
  }
  return amounts;
}

std::vector<Sample> samples_of(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                               const Matrix<double>& measured_s) {
  const std::vector<LatencySurface> surfaces = surfaces_of(profile);
  const LoadRule plain{profile.load_rule().tile_tokens, rule_of({}, profile)};
  std::vector<Sample> samples;
  for (std::size_t i = 0; i < loads.size(); ++i) {
    const DeviceLoad load = load_of(loads[i], plain);
    const Costs amounts = amounts_of(loads[i], profile);
    for (std::size_t d = 0; d < surfaces.size(); ++d)
      samples.push_back({measured_s(d, i),
                         surfaces[d].seconds(static_cast<double>(load.tiles), static_cast<double>(load.active_experts)),
                         amounts});
  }
  return samples;
}

double error_of(const Sample& sample, const Costs& costs) {
  const double predicted_s = std::inner_product(costs.begin(), costs.end(), sample.amounts.begin(), sample.even_s);
  return std::abs(predicted_s / sample.measured_s - 1.0);
}

std::vector<double> errors_of(std::span<const Sample> samples, const Costs& costs) {
  std::vector<double> errors;
  for (const Sample& sample : samples) errors.push_back(error_of(sample, costs));
  return errors;
}

// A tenth of the plain rule's mean error, or a thousandth of the latency, is no reason for another rule. Nor is any
// mean one where the worst tenth of the loads gets worse: a search finds and exploits it.
bool is_better(const std::vector<double>& errors, const std::vector<double>& plain_errors) {
  const double plain_mean = mean(plain_errors);
  return mean(errors) < std::min(0.9 * plain_mean, plain_mean - 0.001) &&
         quantile(errors, 0.9) <= quantile(plain_errors, 0.9);
}

// The costs, none below zero, of least absolute relative deviations: least squares with weights made anew a few times,
// each solved one cost after another, again and again (coordinate descent).
Costs fit_costs(std::span<const Sample> samples) {
  Costs costs{};
  for (int round = 0; round < 15; ++round) {
    std::array<Costs, costs.size()> products{};
    Costs targets{};
    for (const Sample& sample : samples) {
      const double weight = 1.0 / std::max(error_of(sample, costs), 0.005) / (sample.measured_s * sample.measured_s);
      for (std::size_t a = 0; a < costs.size(); ++a) {
        for (std::size_t b = 0; b < costs.size(); ++b) products[a][b] += weight * sample.amounts[a] * sample.amounts[b];
        targets[a] += weight * sample.amounts[a] * (sample.measured_s - sample.even_s);
      }
    }
    for (int sweep = 0; sweep < 200; ++sweep)
      for (std::size_t a = 0; a < costs.size(); ++a) {
        if (products[a][a] <= 0.0) continue;
        const double rest = targets[a] - std::inner_product(costs.begin(), costs.end(), products[a].begin(), 0.0);
        costs[a] = std::max(0.0, costs[a] + rest / products[a][a]);
      }
  }
  return costs;
}

}  // namespace

std::vector<std::vector<std::uint32_t>> serving_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                      std::size_t count, std::uint64_t seed) {
  const std::size_t slots = plan.experts_per_device;
  std::vector<std::vector<std::uint32_t>> loads;
  RandomStream random({seed, 0xbe4du});
  if (!workloads.empty()) {
    // Every fourth is the busiest of 32 draws: few layers have a very busy expert, but all wait for its device.
    while (loads.size() < count) {
      std::vector<std::uint32_t> busiest(slots);
      for (int draws = loads.size() % 4 == 3 ? 32 : 1; draws > 0; --draws) {
        std::vector<std::uint32_t> load = load_of_workload(random, workloads[random.below(workloads.size())], slots);
        if (std::ranges::max(load) > std::ranges::max(busiest)) busiest = std::move(load);
      }
      if (std::ranges::max(busiest) > 0) loads.push_back(std::move(busiest));
    }
    return loads;
  }
  LoadDistribution distribution = random_loads_of(plan);
  distribution.least_tokens = std::min(slots * plan.tile_tokens / 2 + 1, distribution.most_tokens);
  distribution.most_tokens = std::min(4 * slots * plan.tile_tokens, distribution.most_tokens);
  distribution.least_shape = 0.5;
  distribution.most_shape = 3.0;
  while (loads.size() < count) loads.push_back(random_load(random, slots, distribution));
  return loads;
}

std::vector<std::vector<std::uint32_t>> trial_loads(const LatencyProfile& plan, std::span<const LoadTrace> workloads,
                                                    std::size_t count, std::uint64_t seed) {
  if (!workloads.empty()) return serving_loads(plan, workloads, count, seed ^ 0x7a13u);
  std::vector<std::vector<std::uint32_t>> loads;
  RandomStream random({seed, 0x7a13u});
  while (loads.size() < count) loads.push_back(random_load(random, plan.experts_per_device, random_loads_of(plan)));
  return loads;
}

LoadCosts choose_load_rule(const LatencyProfile& profile, std::span<const std::vector<std::uint32_t>> loads,
                           const Matrix<double>& measured_s, std::size_t trial_count) {
  if (loads.empty()) return rule_of({}, profile);
  const std::vector<Sample> samples = samples_of(profile, loads, measured_s);  // of each load one a device
  const std::size_t fitted = samples.size() - trial_count * measured_s.rows();
  const Costs costs = fit_costs(std::span(samples).first(fitted));
  // On loads that it was made from a rule always errs less.
  const auto trial = std::span(samples).subspan(fitted);
  return rule_of(is_better(errors_of(trial, costs), errors_of(trial, {})) ? costs : Costs{}, profile);
}

}  // namespace gem
