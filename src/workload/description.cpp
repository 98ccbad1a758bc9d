#include "workload/description.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

/// Load of each expert of a layer over time, [expert, step].
Matrix<double> loads_over_time(const LoadTrace& trace, std::size_t layer) {
  Matrix<double> loads(trace.experts_in(layer), trace.step_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t expert = 0; expert < loads.rows(); ++expert)
      loads(expert, step) = trace.counts(step, layer, expert);
  return loads;
}

ExpertDescription describe_expert(std::span<const double> loads, double mean_of_all,
                                  const DescriptionOptions& options) {
  ExpertDescription expert;
  double busy_steps = 0.0;
  double busy_load = 0.0;
  for (const double load : loads) {
    if (load <= options.busy_factor * mean_of_all) continue;
    busy_steps += 1.0;
    busy_load += load;
  }
  expert.mean_load = mean(loads);
  expert.busy_share = busy_steps / static_cast<double>(loads.size());
  if (busy_steps > 0.0) expert.burst = busy_load / busy_steps / expert.mean_load;
  if (expert.busy_share >= options.consistent_share)
    expert.kind = ExpertKind::Consistent;
  else if (busy_steps > 0.0 && expert.busy_share <= options.temporal_share && expert.burst >= options.temporal_burst)
    expert.kind = ExpertKind::Temporal;
  return expert;
}

/// 0 where there is nothing to compare with: a layer or step without tokens.
double ratio(double value, double mean_value) {
  return mean_value > 0.0 ? value / mean_value : 0.0;
}

/// Largest over mean load within each step, [step].
std::vector<double> step_imbalance(const LoadTrace& trace, std::size_t layer) {
  std::vector<double> imbalance;
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    const auto row = trace.tokens(step, layer);
    const double total = std::accumulate(row.begin(), row.end(), 0.0);
    imbalance.push_back(ratio(*std::ranges::max_element(row), total / static_cast<double>(row.size())));
  }
  return imbalance;
}

bool varies(std::span<const double> loads) {
  return std::any_of(loads.begin(), loads.end(), [&](double load) { return load != loads.front(); });
}

double mean_step_correlation(const Matrix<double>& loads) {
  std::vector<double> correlations;
  for (std::size_t expert = 0; expert < loads.rows(); ++expert) {
    const std::span<const double> series = loads.row(expert);
    if (varies(series)) correlations.push_back(correlation(series.first(series.size() - 1), series.subspan(1)));
  }
  return correlations.empty() ? 0.0 : mean(correlations);
}

double high_pair_correlation(const Matrix<double>& correlations) {
  std::vector<double> pairs;
  for (std::size_t a = 0; a < correlations.rows(); ++a)
    for (std::size_t b = a + 1; b < correlations.columns(); ++b) pairs.push_back(correlations(a, b));
  return pairs.empty() ? 0.0 : quantile(pairs, 0.95);
}

Matrix<double> correlations_of(Matrix<double> loads) {
  // Series of mean 0 and length 1: the correlation of two is their scalar product.
  for (std::size_t expert = 0; expert < loads.rows(); ++expert) {
    const std::span<double> series = loads.row(expert);
    const double centre = varies(series) ? mean(series) : series.front();
    double square_sum = 0.0;
    for (double& value : series) {
      value -= centre;
      square_sum += value * value;
    }
    if (square_sum > 0.0)
      for (double& value : series) value /= std::sqrt(square_sum);
  }
  Matrix<double> correlations(loads.rows(), loads.rows());
  for (std::size_t a = 0; a < loads.rows(); ++a) {
    for (std::size_t b = a; b < loads.rows(); ++b) {
      const std::span<const double> first = loads.row(a);
      const std::span<const double> second = loads.row(b);
      correlations(a, b) = std::inner_product(first.begin(), first.end(), second.begin(), 0.0);
      correlations(b, a) = correlations(a, b);
    }
  }
  return correlations;
}

void check(const DescriptionOptions& options) {
  check_options(options);
  if (options.temporal_share >= options.consistent_share)
    throw option_error(option_name(&DescriptionOptions::temporal_share), "{} {:g} must be below {} {:g}",
                       options.temporal_share, option_name(&DescriptionOptions::consistent_share),
                       options.consistent_share);
}

}  // namespace

void describe(OptionList& options, DescriptionOptions& description) {
  options.group("Kinds of experts");
  options.add("busy-factor", description.busy_factor, "X", "an expert is busy in a step above so many mean loads")
      .range(0, 1e9);
  options
      .add("consistent-share", description.consistent_share, "F",
           "consistent: busy in at least this share of the steps")
      .range(0, 1);
  options
      .add("temporal-share", description.temporal_share, "F",
           "temporal: busy in at most this share of the steps (in one at least) ...")
      .range(0, 1);
  options
      .add("temporal-burst", description.temporal_burst, "X",
           "... and then with at least so many times its own mean load")
      .range(0, 1e9);
}

std::size_t LayerDescription::count(ExpertKind kind) const {
  return static_cast<std::size_t>(
      std::count_if(experts.begin(), experts.end(), [&](const auto& expert) { return expert.kind == kind; }));
}

std::size_t LayerDescription::idle_count() const {
  return static_cast<std::size_t>(
      std::count_if(experts.begin(), experts.end(), [](const auto& expert) { return expert.mean_load == 0.0; }));
}

double layer_skew(const LoadTrace& trace, std::size_t layer) {
  const Matrix<double> loads = loads_over_time(trace, layer);
  double largest = 0.0;
  for (std::size_t expert = 0; expert < loads.rows(); ++expert) largest = std::max(largest, mean(loads.row(expert)));
  return ratio(largest, mean(loads.values()));
}

std::vector<LayerDescription> describe_trace(const LoadTrace& trace, const DescriptionOptions& options,
                                             const std::function<void(std::size_t layer)>& on_layer) {
  check(options);
  std::vector<LayerDescription> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    if (on_layer) on_layer(layer);
    const Matrix<double> loads = loads_over_time(trace, layer);
    LayerDescription description;
    description.layer_id = trace.layer_ids[layer];
    description.mean_load = mean(loads.values());
    description.skew = layer_skew(trace, layer);
    for (std::size_t expert = 0; expert < loads.rows(); ++expert)
      description.experts.push_back(describe_expert(loads.row(expert), description.mean_load, options));
    const std::vector<double> imbalance = step_imbalance(trace, layer);
    description.median_imbalance = median(imbalance);
    description.largest_imbalance = *std::ranges::max_element(imbalance);
    description.step_correlation = mean_step_correlation(loads);
    description.expert_correlation = high_pair_correlation(correlations_of(loads));
    layers.push_back(std::move(description));
  }
  return layers;
}

Matrix<double> expert_correlations(const LoadTrace& trace, std::size_t layer) {
  return correlations_of(loads_over_time(trace, layer));
}

std::vector<ExpertPair> strongest_pairs(const Matrix<double>& correlations, std::size_t count) {
  std::vector<ExpertPair> pairs;
  for (std::size_t a = 0; a < correlations.rows(); ++a)
    for (std::size_t b = a + 1; b < correlations.columns(); ++b)
      pairs.push_back({{static_cast<std::int32_t>(a)}, {static_cast<std::int32_t>(b)}, correlations(a, b)});
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const ExpertPair& a, const ExpertPair& b) { return a.correlation > b.correlation; });
  pairs.resize(std::min(count, pairs.size()));
  return pairs;
}

}  // namespace gem
