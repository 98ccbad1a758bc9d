#include "workload/description_text.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <numeric>

#include "base/statistics.hpp"
#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

// Half a mean load each: the first is below 0.5 mean loads, the last 4.5 and more.
constexpr std::string_view shades = " .:-=+*#%@";
constexpr double shades_per_mean = 2.0;

/// Of the layers that got a token; 0 if none did.
template <class Value>
double median_over(const std::vector<LayerDescription>& layers, Value value) {
  std::vector<double> values;
  for (const LayerDescription& layer : layers)
    if (layer.mean_load > 0.0) values.push_back(value(layer));
  return values.empty() ? 0.0 : median(values);
}

/// A layer without a token has none of these figures.
std::string figure(const LayerDescription& layer, double value) {
  return layer.mean_load > 0.0 ? fmt::format("{:.2f}", value) : "-";
}

/// Mean load of each expert over each stretch of time, [expert, stretch].
Matrix<double> averaged_loads(const LoadTrace& trace, std::size_t layer, std::size_t stretches) {
  Matrix<double> loads(trace.experts_in(layer), stretches);
  for (std::size_t stretch = 0; stretch < stretches; ++stretch) {
    const std::size_t begin = stretch * trace.step_count() / stretches;
    const std::size_t end = (stretch + 1) * trace.step_count() / stretches;
    for (std::size_t step = begin; step < end; ++step)
      for (std::size_t expert = 0; expert < loads.rows(); ++expert)
        loads(expert, stretch) += trace.counts(step, layer, expert) / static_cast<double>(end - begin);
  }
  return loads;
}

char letter(ExpertKind kind) {
  switch (kind) {
    case ExpertKind::Consistent:
      return 'C';
    case ExpertKind::Temporal:
      return 'T';
    case ExpertKind::Other:
      break;
  }
  return ' ';
}

/// Experts to show: the `count` with the highest peaks, by falling mean load.
std::vector<std::size_t> shown_experts(const Matrix<double>& loads, const LayerDescription& description,
                                       std::size_t count) {
  std::vector<std::size_t> experts(loads.rows());
  std::iota(experts.begin(), experts.end(), std::size_t{0});
  const auto peak = [&](std::size_t expert) { return *std::ranges::max_element(loads.row(expert)); };
  std::stable_sort(experts.begin(), experts.end(), [&](std::size_t a, std::size_t b) { return peak(a) > peak(b); });
  experts.resize(std::min(count, experts.size()));
  std::stable_sort(experts.begin(), experts.end(), [&](std::size_t a, std::size_t b) {
    return description.experts[a].mean_load > description.experts[b].mean_load;
  });
  return experts;
}

}  // namespace

std::string description_table(const std::vector<LayerDescription>& layers) {
  Table table({{"layer", ""},
               {"skew", "max/mean"},
               {"median", "max/mean", 1},
               {"worst", "max/mean"},
               {"next", "corr."},
               {"pairs", "corr."},
               {"consistent", "count"},
               {"temporal", "count"},
               {"idle", "count"}});
  for (const LayerDescription& layer : layers)
    table.add_row({fmt::format("{}", layer.layer_id), figure(layer, layer.skew), figure(layer, layer.median_imbalance),
                   figure(layer, layer.largest_imbalance), figure(layer, layer.step_correlation),
                   figure(layer, layer.expert_correlation), fmt::format("{}", layer.count(ExpertKind::Consistent)),
                   fmt::format("{}", layer.count(ExpertKind::Temporal)), fmt::format("{}", layer.idle_count())});
  const auto middle = [&](auto value) { return fmt::format("{:.2f}", median_over(layers, value)); };
  const auto count_of = [](ExpertKind kind) {
    return [kind](const LayerDescription& layer) { return static_cast<double>(layer.count(kind)); };
  };
  const auto middle_count = [&](auto count) { return fmt::format("{:g}", median_over(layers, count)); };
  table.add_row({"median", middle([](const auto& layer) { return layer.skew; }),
                 middle([](const auto& layer) { return layer.median_imbalance; }),
                 middle([](const auto& layer) { return layer.largest_imbalance; }),
                 middle([](const auto& layer) { return layer.step_correlation; }),
                 middle([](const auto& layer) { return layer.expert_correlation; }),
                 middle_count(count_of(ExpertKind::Consistent)), middle_count(count_of(ExpertKind::Temporal)),
                 middle_count([](const auto& layer) { return static_cast<double>(layer.idle_count()); })});
  return table.to_string();
}

std::string heat_map(const LoadTrace& trace, std::size_t layer, const LayerDescription& description,
                     const HeatMapOptions& options) {
  const std::size_t stretches = std::min(options.columns, trace.step_count());
  const Matrix<double> loads = averaged_loads(trace, layer, stretches);
  const std::vector<std::size_t> experts = shown_experts(loads, description, options.rows);

  std::string text = fmt::format("expert  steps 0 to {}, {:.3g} steps a column\n", trace.step_count() - 1,
                                 static_cast<double>(trace.step_count()) / static_cast<double>(stretches));
  for (const std::size_t expert : experts) {
    std::string row;
    for (const double load : loads.row(expert)) {
      const double shade = description.mean_load > 0.0 ? shades_per_mean * load / description.mean_load : 0.0;
      row += shades[static_cast<std::size_t>(std::min(shade, static_cast<double>(shades.size() - 1)))];
    }
    text += fmt::format("{:5} {} |{}| {:.1f}\n", expert, letter(description.experts[expert].kind), row,
                        description.experts[expert].mean_load);
  }
  if (experts.size() < loads.rows())
    text += fmt::format("(and {} experts with lower peaks)\n", loads.rows() - experts.size());
  text += fmt::format("Shades '{}': from 0 to {:.1f} and more mean loads of {:.1f} tokens.\n", std::string(shades),
                      static_cast<double>(shades.size() - 1) / shades_per_mean, description.mean_load);
  text += "C: consistent, T: temporal; at the right the expert's mean load, tokens a step.\n";
  return text;
}

}  // namespace gem
