#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/array.hpp"
#include "base/option.hpp"
#include "model/ids.hpp"
#include "model/load_trace.hpp"

namespace gem {

/// When an expert counts as busy, consistent or temporal. The mean load is that of all experts: tokens x top_k /
/// experts.
struct DescriptionOptions {
  double busy_factor = 1.0;        ///< busy in a step: load above this many mean loads
  double consistent_share = 0.85;  ///< consistent: busy in at least this share of the steps
  double temporal_share = 0.17;    ///< temporal: busy in at most this share of the steps, but in one at least ...
  double temporal_burst = 3.0;     ///< ... and its load averaged over those is at least this many times its own mean
};

void describe(OptionList& options, DescriptionOptions& description);

enum class ExpertKind { Other, Consistent, Temporal };

struct ExpertDescription {
  double mean_load = 0.0;   ///< tokens a step
  double busy_share = 0.0;  ///< share of the steps, 0 to 1
  double burst = 0.0;       ///< mean load of the busy steps over mean_load; 0 if never busy
  ExpertKind kind = ExpertKind::Other;
};

struct LayerDescription {
  std::int32_t layer_id = 0;
  double mean_load = 0.0;           ///< of the layer's experts, tokens a step
  double skew = 0.0;                ///< largest over mean of the experts' mean loads; 1 is even, 0 without a token
  double median_imbalance = 0.0;    ///< median over steps of largest over mean load within the step
  double largest_imbalance = 0.0;   ///< the same, largest over steps
  double step_correlation = 0.0;    ///< load with load one step later, mean over the experts whose load varies
  double expert_correlation = 0.0;  ///< of two experts' loads over steps: the pair at the 95 % quantile of all pairs
  std::vector<ExpertDescription> experts;

  /// Experts of this kind.
  std::size_t count(ExpertKind kind) const;
  /// Experts that no token used in any step.
  std::size_t idle_count() const;
};

/// Skew of a layer (an index) alone.
double layer_skew(const LoadTrace& trace, std::size_t layer);

/// What each layer's loads are like, [layer]. UsageError for thresholds that no trace could meet.
/// `on_layer` is told which layer is next.
std::vector<LayerDescription> describe_trace(const LoadTrace& trace, const DescriptionOptions& options,
                                             const std::function<void(std::size_t layer)>& on_layer = {});

/// Correlation over steps of the loads of every two experts of a layer (an index), [expert, expert]; 0 where a load
/// never varies.
Matrix<double> expert_correlations(const LoadTrace& trace, std::size_t layer);

/// Two experts that are busy together.
struct ExpertPair {
  ExpertId first;
  ExpertId second;
  double correlation = 0.0;
};

/// The `count` most correlated pairs, strongest first; ties by expert number.
std::vector<ExpertPair> strongest_pairs(const Matrix<double>& correlations, std::size_t count);

}  // namespace gem
