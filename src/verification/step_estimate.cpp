#include "verification/step_estimate.hpp"

#include <fmt/core.h>
#include <cmath>

#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {

bool has_step_estimate(const VerificationReport& report) {
  return !std::isnan(report.rest_per_layer_s) && report.model_layers > 0;
}

std::vector<StepEstimate> estimate_steps(const VerificationReport& report, std::uint64_t seed) {
  const auto layers = static_cast<double>(report.model_layers);
  const double scale = layers / static_cast<double>(report.layer_ids.size());
  const double rest_s = report.rest_per_layer_s * layers;
  const auto whole_steps = [&](const MappingReplay& replay) {
    std::vector<double> steps = has_whole_layers(report) ? sum_of_steps(replay.layer_s)  //
                                                         : straggler_of_steps(replay.compute_s);
    for (double& step_s : steps) step_s = step_s * scale + rest_s;
    return steps;
  };
  const std::vector<double> base = whole_steps(report.mappings.front());
  std::vector<StepEstimate> estimates;
  for (const MappingReplay& replay : report.mappings) {
    const std::vector<double> steps = whole_steps(replay);
    const double step_s = mean(steps);
    const Interval interval = bootstrap_ratio(steps, base, seed);
    estimates.push_back({step_s - rest_s, rest_s, step_s, step_s / mean(base), interval.low, interval.high});
  }
  return estimates;
}

std::string step_estimate_table(const VerificationReport& report, const std::vector<StepEstimate>& estimates) {
  Table table({{"mapping", ""},
               {"MoE layers", "ms/step", 2},
               {"rest", "ms/step", 1},
               {"step", "ms"},
               {"vs " + report.mappings[0].name, "ratio"},
               {"95 % interval", "ratio"},
               {"MoE part", "%", 3}});
  for (std::size_t m = 0; m < estimates.size(); ++m) {
    const StepEstimate& e = estimates[m];
    table.add_row({report.mappings[m].name, fmt::format("{:.3f}", e.moe_s * 1e3), fmt::format("{:.3f}", e.rest_s * 1e3),
                   fmt::format("{:.3f}", e.step_s * 1e3), fmt::format("{:.3f}", e.relative),
                   m == 0 ? "-" : fmt::format("{:.3f} - {:.3f}", e.relative_low, e.relative_high),
                   fmt::format("{:.1f}", 100.0 * e.moe_s / e.step_s)});
  }
  const std::size_t replayed = report.layer_ids.size();
  std::string text = fmt::format("Whole model, estimated: {} MoE layers ({}) and a stated rest of {:.4g} ms for each",
                                 report.model_layers, has_whole_layers(report) ? "whole" : "compute only",
                                 report.rest_per_layer_s * 1e3);
  if (replayed < report.model_layers) text += fmt::format(" ({} replayed, in proportion for the others)", replayed);
  return wrap(text) + "\n" + table.to_string();
}

}  // namespace gem
