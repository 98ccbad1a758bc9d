#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "adaptation/drift.hpp"
#include "base/array.hpp"
#include "model/latency_profile.hpp"
#include "search/layer_problem.hpp"

namespace gem {

/// What policies of re-mapping are told, and how often they look.
struct AdaptationOptions {
  std::size_t train_steps = 128;  ///< of the run's beginning: static gem and the first placement of all are searched on
  std::size_t window = 64;        ///< last steps that triggered gem looks at
  std::size_t interval = 8;       ///< steps between two looks of triggered gem
  std::size_t engine_window = 1000;    ///< steps that the engines' policy counts
  std::size_t engine_interval = 3000;  ///< steps between two of its re-mappings
  double horizon_steps = 1000;         ///< for which moves must pay
  double move_s = 0.0;                 ///< in which steps stand still for the move of one expert
  std::size_t max_moves = 8;           ///< of a layer at a time, of triggered gem
  std::uint64_t seed = 1;
};

/// Another placement of one layer.
struct LayerChange {
  std::size_t layer;
  Assignment assignment;
};

/// A placement that follows, or doesn't. Steps are numbered over the whole run.
class Policy {
 public:
  virtual ~Policy() = default;
  virtual std::string name() const = 0;
  /// Whether its moves are made in parts, as many a step as a budget allows, instead of all at once.
  virtual bool is_gradual() const { return false; }
  /// What the step took, [layer, device] seconds, and what the profile predicts for the same loads.
  virtual void observe(std::size_t /*step*/, const Matrix<double>& /*measured_s*/,
                       const Matrix<double>& /*predicted_s*/) {}
  /// Changes of `present`, [layer], that are wanted before `step` runs, best first; knows the steps before it alone.
  virtual std::vector<LayerChange> decide(std::size_t /*step*/, const std::vector<Assignment>& /*present*/) {
    return {};
  }
  /// [device] slowdowns that it believes in; empty if it doesn't ask.
  virtual std::vector<double> believed_slowdowns() const { return {}; }
};

/// A policy and the placement that it begins with.
struct PolicyStart {
  std::unique_ptr<Policy> policy;
  std::vector<Assignment> placement;
};

/// All of them: static linear, static gem, periodic EPLB, periodic gem, triggered gem, oracle, in that order. The
/// arguments must outlive them.
std::vector<PolicyStart> make_policies(const LatencyProfile& profile, const Drift& drift,
                                       const AdaptationOptions& options);

/// The name of the policy that is judged, and of that which it must not be worse than.
inline constexpr const char* judged_policy = "triggered gem";
inline constexpr const char* reference_policy = "static gem";
inline constexpr const char* oracle_policy = "oracle";

std::unique_ptr<Policy> make_triggered_policy(const LatencyProfile& profile, const Drift& drift,
                                              const AdaptationOptions& options);

}  // namespace gem
