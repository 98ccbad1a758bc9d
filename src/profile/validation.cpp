#include "profile/validation.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "base/error.hpp"
#include "base/option.hpp"
#include "base/random.hpp"
#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"
#include "cost/device_loads.hpp"
#include "model/latency_surface.hpp"

namespace gem {
void add_random_loads(ValidationLoads& loads, std::size_t count, std::size_t slot_count,
                      const LoadDistribution& distribution, std::uint64_t seed) {
  RandomStream random({seed, 0x7a11u});
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::uint32_t> load;
    for (int attempt = 0; attempt < 1000; ++attempt) {
      load = random_load(random, slot_count, distribution);
      const auto idle = std::ranges::count(load, 0u);
      if (slot_count - static_cast<std::size_t>(idle) >= distribution.least_active) break;
    }
    loads.tokens_per_slot.push_back(std::move(load));
    loads.source.emplace_back("random");
  }
}

void add_trace_loads(ValidationLoads& loads, std::size_t count, std::size_t slot_count, std::size_t max_tokens,
                     const LoadTrace& trace, std::uint64_t seed) {
  if (trace.expert_count() < slot_count)
    throw UsageError(fmt::format("the trace of {} has {} experts, fewer than the {} of a device; it is another model's",
                                 trace.model, trace.expert_count(), slot_count));
  RandomStream random({seed, 0x7a12u});
  std::size_t found = 0;
  for (std::size_t attempt = 0; found < count && attempt < 100 * count; ++attempt) {
    const auto row = trace.counts.row(random.below(trace.step_count()), random.below(trace.layer_count()));
    const std::size_t first = random.below(trace.expert_count() / slot_count) * slot_count;
    const std::vector<std::uint32_t> tokens(row.begin() + static_cast<std::ptrdiff_t>(first),
                                            row.begin() + static_cast<std::ptrdiff_t>(first + slot_count));
    const std::size_t total = row_count(tokens);
    if (total == 0 || total > max_tokens) continue;
    loads.tokens_per_slot.push_back(tokens);
    loads.source.push_back(trace.task);
    ++found;
  }
  if (found < count)
    throw UsageError(fmt::format("the trace of {} has too few loads of at most {} tokens a device ({})", trace.model,
                                 max_tokens, on_command_line("max-tokens")));
}

Validation validate(const LatencyProfile& profile, ValidationLoads loads, Matrix<double> measured_s) {
  const std::vector<TileSurfaces> surfaces = tile_surfaces_of(profile);
  const LoadRules rules = profile.load_rules();
  const std::vector<LatencyCurve> curves = curves_of(profile);
  Validation validation{std::move(loads), std::move(measured_s), {}, {}, {}};
  validation.surface_s = validation.plain_s = validation.curve_s =
      Matrix<double>(validation.measured_s.rows(), validation.measured_s.columns());
  for (std::size_t i = 0; i < validation.measured_s.columns(); ++i) {
    const DeviceLoad load = load_of(validation.loads.tokens_per_slot[i], rules);
    const std::size_t regime = rules.regime_of(load.tokens);
    for (std::size_t d = 0; d < validation.measured_s.rows(); ++d) {
      validation.surface_s(d, i) = surfaces[d].seconds(load);
      validation.plain_s(d, i) =
          surfaces[d].of(regime).seconds(static_cast<double>(load.tiles), static_cast<double>(load.active_experts));
      validation.curve_s(d, i) = curves[d].seconds(static_cast<double>(load.tokens));
    }
  }
  return validation;
}

std::vector<ValidationError> validation_errors(const Validation& validation) {
  struct Errors {
    std::vector<double> surface;
    std::vector<double> plain;
    std::vector<double> curve;
  };
  std::map<std::string, Errors> by_source;
  const auto error = [](double predicted, double measured) { return std::abs(predicted / measured - 1.0); };
  for (std::size_t d = 0; d < validation.measured_s.rows(); ++d)
    for (std::size_t i = 0; i < validation.measured_s.columns(); ++i) {
      const double measured_s = validation.measured_s(d, i);
      for (const std::string& source : {validation.loads.source[i], std::string("all")}) {
        by_source[source].surface.push_back(error(validation.surface_s(d, i), measured_s));
        by_source[source].plain.push_back(error(validation.plain_s(d, i), measured_s));
        by_source[source].curve.push_back(error(validation.curve_s(d, i), measured_s));
      }
    }
  std::vector<ValidationError> found;
  const auto add = [&](const std::string& source, const char* features, const std::vector<double>& errors) {
    found.push_back({source, features, errors.size(), median(errors), quantile(errors, 0.9), quantile(errors, 1.0)});
  };
  for (const auto& [source, errors] : by_source) {
    add(source, "tiles and active experts", errors.surface);
    if (errors.plain != errors.surface) add(source, "the same as if even", errors.plain);
    add(source, "tokens", errors.curve);
  }
  return found;
}

std::string validation_table(const Validation& validation) {
  Table table({{"loads outside the plan", ""},
               {"prediction by", ""},
               {"measurements", "", 1},
               {"median error", "%"},
               {"p90", "%", 2},
               {"worst", "%"}});
  const auto percent = [](double error) { return fmt::format("{:.2f}", 100.0 * error); };
  for (const ValidationError& row : validation_errors(validation))
    table.add_row({row.source, row.prediction, fmt::format("{}", row.measurements), percent(row.median),
                   percent(row.p90), percent(row.worst)});
  return table.to_string();
}

std::string validation_csv(const Validation& validation, const LoadRules& rules) {
  std::string text = "load,source,device,tiles,active_experts,tokens,tokens_per_expert,measured_s,surface_s,curve_s\n";
  for (std::size_t i = 0; i < validation.measured_s.columns(); ++i) {
    const DeviceLoad load = load_of(validation.loads.tokens_per_slot[i], rules);
    std::vector<std::string> tokens;
    for (std::uint32_t count : validation.loads.tokens_per_slot[i]) tokens.push_back(fmt::format("{}", count));
    for (std::size_t d = 0; d < validation.measured_s.rows(); ++d)
      text += fmt::format("{},{},{},{},{},{},{},{:.6g},{:.6g},{:.6g}\n", i, validation.loads.source[i], d, load.tiles,
                          load.active_experts, load.tokens, join(tokens, " "), validation.measured_s(d, i),
                          validation.surface_s(d, i), validation.curve_s(d, i));
  }
  return text;
}

}  // namespace gem
