#include <algorithm>
#include <cmath>

#include "adaptation/policies.hpp"
#include "adaptation/regimes.hpp"
#include "adaptation/speed_estimate.hpp"
#include "base/statistics.hpp"
#include "cost/cost_model.hpp"
#include "model/device_selection.hpp"
#include "search/placement.hpp"
#include "search/remap.hpp"

namespace gem {
namespace {

// Steps whose measured times tell a device's present speed. Of so few the median's interval is their whole range: a
// device must be another in each of them.
constexpr std::size_t speed_steps = 6;

// Loads have changed if they differ from what was searched for by so many times what one half of the window differs
// from the other.
constexpr double load_factor = 2.0;

// Steps on which a placement for a regime that comes back is judged: it wasn't searched on them, so that few tell.
constexpr std::size_t recall_steps = 16, recall_block_steps = 4;

// Iterations of the search after the descent, where loads are others. Where only a device's speed is, or more is known
// of the same loads, there is little to win, and what more could be found is lost by the moves that it takes.
constexpr std::size_t search_iterations = 25;

// Moves must pay within this share of the steps for which a placement is likely to be of use. What would pay only in
// the last of these steps brings little if they come, and is lost if loads or speeds are others before.
constexpr double prudence = 0.7;

// Steps that follow each other are alike; blocks of so many are counted as one observation.
constexpr std::size_t block_steps = 8;

// Steps of like loads that a search takes at most, and after which a placement is as good as settled.
constexpr std::size_t settled_steps = 512;

// Seconds of the slowest device, [step].
std::vector<double> step_seconds(const LayerProblem& problem, const Assignment& assignment) {
  const Placement placement(problem, assignment);
  std::vector<double> seconds(problem.step_count(), 0.0);
  for (std::size_t step = 0; step < seconds.size(); ++step)
    for (std::size_t stage = 0; stage < problem.stage_count(); ++stage)
      seconds[step] += placement.column_cost()[problem.first_column(stage) + step] * problem.tables().tick_s();
  return seconds;
}

/// Looks every few steps, cheaply, whether loads or a device's speed are others than those that the placement was
/// searched for, and only then searches. What it finds is judged on steps that it wasn't searched on, and moved only
/// where the lower bound of the gain pays for the moves. README.md tells it in order, with each constant's reason.
class TriggeredGem : public Policy {
 public:
  TriggeredGem(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& options)
      : profile_(profile),
        drift_(drift),
        options_(options),
        used_(profile.device_count(), 1.0),
        speeds_(profile.device_count(), speed_steps),
        regimes_(drift.trace),
        searched_for_(load_shares(steps_of(drift.trace, 0, options.train_steps))) {}

  std::string name() const override { return judged_policy; }
  bool is_gradual() const override { return true; }
  std::vector<double> believed_slowdowns() const override { return speeds_.slowdowns(); }

  void observe(std::size_t, const Matrix<double>& measured_s, const Matrix<double>& predicted_s) override {
    speeds_.add(measured_s, predicted_s);
  }

  std::vector<LayerChange> decide(std::size_t step, const std::vector<Assignment>& present) override {
    if (step < options_.window || (step - options_.train_steps) % options_.interval != 0) return {};
    const bool speed_changed = speeds_.differs_from(used_);
    const std::vector<double> believed = speed_changed ? speeds_.slowdowns() : used_;
    const std::size_t known = std::min(step - alike_since_, settled_steps);
    const bool knows_more = is_settling_ && known >= 2 * searched_on_;
    if (Plan known_before = recall(believed, step, present); !known_before.changes.empty()) {
      begin_regime(step - recall_steps);
      return adopt(known_before, believed, step);
    }
    Plan best;
    if (load_changed(step, options_.window)) best = plan(believed, step, options_.window, search_iterations, present);
    const bool loads_are_others = !best.changes.empty();
    if (!loads_are_others && (speed_changed || knows_more)) best = plan(believed, step, known, 0, present);
    if (knows_more) searched_on_ = known;
    is_settling_ = is_settling_ && known < settled_steps;
    if (best.changes.empty()) return {};
    if (loads_are_others) begin_regime(step - best.steps);
    std::vector<LayerChange> changes = adopt(best, believed, step);
    is_settling_ = searched_on_ < settled_steps;
    return changes;
  }

 private:
  // What is to be done, and by how many steps of which loads.
  struct Plan {
    std::size_t steps = 0;
    Matrix<double> shares{};
    std::vector<LayerChange> changes{};
  };

  std::vector<LayerChange> adopt(Plan& plan, const std::vector<double>& slowdowns, std::size_t step) {
    if (slowdowns != used_) {
      regimes_.count(step - used_since_);
      used_since_ = step;
    }
    used_ = slowdowns;
    searched_for_ = std::move(plan.shares);
    searched_on_ = plan.steps;
    is_settling_ = false;
    return std::move(plan.changes);
  }

  // From that step on loads are others, unless they were before. A change that is seen a second time, within a window
  // of the first, is one change: the steps between aren't a regime.
  void begin_regime(std::size_t step) {
    if (step <= alike_since_) return;
    if (alike_since_ == 0 || step - alike_since_ >= options_.window) regimes_.remember(alike_since_, step);
    alike_since_ = step;
  }

  double horizon() const { return prudence * regimes_.horizon(options_.horizon_steps); }

  LoadTrace last_steps(std::size_t step, std::size_t count) const {
    return steps_of(drift_.trace, step - count, count);
  }

  // Whether the last steps' loads differ from what was searched for by more than their halves do from each other.
  bool load_changed(std::size_t step, std::size_t count) const {
    const std::size_t half = count / 2;
    const double noise = share_distance(load_shares(steps_of(drift_.trace, step - count, half)),
                                        load_shares(last_steps(step, count - half)));
    return share_distance(load_shares(last_steps(step, count)), searched_for_) > load_factor * noise;
  }

  struct Candidate {
    std::size_t layer;
    double gain_s;  // a step, beyond its price
    Assignment assignment;
  };

  RemapPoint best_on(const LayerProblem& problem, const Assignment& present, std::size_t iterations) const {
    const std::int64_t price = move_price(problem, options_.move_s, horizon());
    return best_remap(problem, device_contents(present, profile_.device_count()),
                      {.max_moves = options_.max_moves, .move_ticks = price, .seed = options_.seed}, iterations);
  }

  // The best of the last steps, if it pays.
  Plan plan(const std::vector<double>& slowdowns, std::size_t step, std::size_t count, std::size_t iterations,
            const std::vector<Assignment>& present) const {
    const LoadTrace window = last_steps(step, count);
    const std::size_t half = count / 2;
    const LoadTrace older = steps_of(window, 0, half), newer = steps_of(window, half, count - half);
    const Evidence evidence{older, newer, window, block_steps, iterations};
    return {count, load_shares(window), changes_that_pay(slowdowns, evidence, present)};
  }

  // The best for an earlier regime that the last steps are like, if it pays on them.
  Plan recall(const std::vector<double>& slowdowns, std::size_t step, const std::vector<Assignment>& present) const {
    const LoadTrace recent = last_steps(step, recall_steps);
    const Matrix<double> shares = load_shares(recent);
    const Regime* regime = regimes_.nearest(shares, share_distance(shares, searched_for_));
    if (regime == nullptr) return {};
    const LoadTrace earlier = steps_of(drift_.trace, regime->begin, regime->count);
    const Evidence evidence{earlier, recent, earlier, recall_block_steps, search_iterations};
    return {regime->count, regime->shares, changes_that_pay(slowdowns, evidence, present)};
  }

  // Steps that a change is searched on, those that it is then judged on, and those that it is made for in the end.
  struct Evidence {
    const LoadTrace &searched, &judged, &all;
    std::size_t block_steps;  // of the judged ones, for their interval
    std::size_t iterations;   // of the search
  };

  // Layers that gain more than their moves cost, best first; none where the gain of all together is not sure.
  std::vector<LayerChange> changes_that_pay(const std::vector<double>& slowdowns, const Evidence& evidence,
                                            const std::vector<Assignment>& present) const {
    const CostModel model(slowed_down(profile_, slowdowns));
    const std::vector<LayerProblem> searched = layer_problems(model, evidence.searched),
                                    judged = layer_problems(model, evidence.judged);
    std::vector<LayerProblem> whole;
    std::vector<Candidate> candidates;
    std::vector<double> gains_s(evidence.judged.step_count(), 0.0);
    double price_s = 0.0;
    for (std::size_t layer = 0; layer < present.size(); ++layer) {
      const RemapPoint point = best_on(searched[layer], present[layer], evidence.iterations);
      if (point.moves == 0) continue;
      const std::vector<double> now_s = step_seconds(judged[layer], present[layer]),
                                then_s = step_seconds(judged[layer], point.assignment);
      const double own_price_s = static_cast<double>(point.moves) * options_.move_s / horizon();
      const double gain_s = mean(now_s) - mean(then_s) - own_price_s;
      if (gain_s <= 0.0) continue;
      for (std::size_t t = 0; t < gains_s.size(); ++t) gains_s[t] += now_s[t] - then_s[t];
      price_s += own_price_s;
      if (whole.empty()) whole = layer_problems(model, evidence.all);
      candidates.push_back({layer, gain_s, best_on(whole[layer], present[layer], evidence.iterations).assignment});
    }
    if (candidates.empty() || lower_bound(gains_s, evidence.block_steps) <= price_s) return {};
    std::vector<LayerChange> changes;
    std::ranges::stable_sort(candidates, std::greater<>(), &Candidate::gain_s);
    for (Candidate& candidate : candidates)
      if (candidate.assignment != present[candidate.layer])
        changes.push_back({candidate.layer, std::move(candidate.assignment)});
    return changes;
  }

  // That the mean is above, at 95 % confidence, with blocks of so many steps as observations.
  static double lower_bound(const std::vector<double>& values, std::size_t block) {
    std::vector<double> blocks;
    for (std::size_t begin = 0; begin + block <= values.size(); begin += block)
      blocks.push_back(mean(std::span(values).subspan(begin, block)));
    if (blocks.size() < 2) return -INFINITY;
    const double t = student_quantile(0.95, blocks.size() - 1);
    return mean(blocks) - t * standard_deviation(blocks) / std::sqrt(static_cast<double>(blocks.size()));
  }

  const LatencyProfile& profile_;
  const Drift& drift_;
  const AdaptationOptions& options_;
  std::vector<double> used_;    // [device] slowdowns that the placement was last searched for
  std::size_t used_since_ = 0;  // step
  SpeedEstimate speeds_;
  Regimes regimes_;
  Matrix<double> searched_for_;  // [layer, expert] shares of loads
  std::size_t alike_since_ = 0;  // step from which on loads are like those that were searched for
  std::size_t searched_on_ = 0;  // steps
  bool is_settling_ = false;     // the last change is so fresh that more steps will tell more
};

}  // namespace

std::unique_ptr<Policy> make_triggered_policy(const LatencyProfile& profile, const Drift& drift,
                                              const AdaptationOptions& options) {
  return std::make_unique<TriggeredGem>(profile, drift, options);
}

}  // namespace gem
