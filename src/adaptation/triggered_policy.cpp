#include <algorithm>
#include <deque>
#include <optional>

#include "adaptation/change_search.hpp"
#include "adaptation/policies.hpp"
#include "adaptation/recent_changes.hpp"
#include "adaptation/recent_loads.hpp"
#include "adaptation/regimes.hpp"
#include "adaptation/speed_estimate.hpp"

namespace gem {
namespace {

// Steps whose measured times tell a device's present speed, where it changed by little: a device must be another in
// each of them.
constexpr std::size_t speed_steps = 6;

// Loads have changed if they differ from what was searched for by so many times what one half of the window differs
// from the other.
constexpr double load_factor = 2.0;

// Half a window tells another task earlier, if it is another than what was searched for and than the window before it
// by so many times.
constexpr double early_factor = 1.5;

// Steps on which a placement for a regime that comes back is judged: it wasn't searched on them, so that few tell.
constexpr std::size_t recall_steps = 16;

// Iterations of the search after the descent, where loads or speeds are others. Where only more is known of the same
// loads, there is little to win, and what more could be found is lost by the moves that it takes.
constexpr std::size_t search_iterations = 25;

// Moves must pay within this share of the steps for which a placement is likely to be of use. What would pay only in
// the last of these steps brings little if they come, and is lost if loads or speeds are others before.
constexpr double prudence = 0.7;

// Where a device's speed alone is another, likewise: the first moves off a slow device win most, the last little.
constexpr double speed_prudence = 0.5;

// What has lasted so many windows since is no short disturbance: then the rest moves as after any other change.
constexpr std::size_t lasting_windows = 2;

// While loads drift, what a move gains fades with them.
constexpr double fading = 0.65;

// Looks for a better placement while loads drift follow each other by the window, and by twice as much if one found
// none.
constexpr std::size_t longest_wait = 2;

// Steps that follow each other are alike; blocks of so many are counted as one observation, and of fewer where there
// are few.
constexpr std::size_t block_steps = 8, short_block_steps = 4;

// Steps of like loads that a search takes at most, and after which a placement is as good as settled.
constexpr std::size_t settled_steps = 512;

// Experts times steps, summed over the layers that are searched before one step: some 50 to 130 ms of one core, so
// that no step waits long for a decision. What is left is searched before the next steps.
constexpr std::size_t work_a_step = 300'000;

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
        tried_(used_),
        speeds_(profile.device_count(), speed_steps),
        regimes_(drift.trace),
        searched_for_(load_shares(steps_of(drift.trace, 0, options.train_steps))),
        next_try_(options.train_steps + options.window),
        wait_(options.window) {}

  std::string name() const override { return judged_policy; }
  bool is_gradual() const override { return true; }
  std::vector<double> believed_slowdowns() const override { return speeds_.slowdowns(used_); }

  void observe(std::size_t, const Matrix<double>& measured_s, const Matrix<double>& predicted_s) override {
    speeds_.add(measured_s, predicted_s);
  }

  std::vector<LayerChange> decide(std::size_t step, const std::vector<Assignment>& present) override {
    if (step < options_.window) return {};
    const bool is_time = (step - options_.train_steps) % options_.interval == 0;
    if (plans_.empty() && (is_time || speeds_.differs_from(tried_))) look(step);
    for (std::size_t work = work_a_step; !plans_.empty() && work > 0; plans_.pop_front()) {
      Plan& plan = plans_.front();
      if (!plan.search) plan.search.emplace(profile_, options_, question_of(plan, present));
      if (!plan.search->advance(work)) return {};
      std::vector<LayerChange> changes = plan.search->changes();
      if (changes.empty()) continue;
      adopt(plan, step);
      plans_.clear();
      return changes;
    }
    return {};
  }

 private:
  // A placement for the loads of before, if it was searched for; for those of the window; for what is known of all
  // steps of like loads; or for these as they would be now.
  enum class Loads { Before, Window, Known, Carried };

  // What may be done at a look, and by how many steps of which loads.
  struct Plan {
    Loads loads;
    std::size_t step;   // of the look
    std::size_t steps;  // that it is searched on
    std::vector<double> slowdowns;
    std::size_t iterations;
    Matrix<double> shares;                 // that it is for
    std::size_t begin = 0;                 // of a regime of before
    std::optional<ChangeSearch> search{};  // once it has begun
  };

  // What is to be tried, in that order, until something pays.
  void look(std::size_t step) {
    const bool speed_changed = speeds_.differs_from(used_);
    const std::vector<double> believed = speed_changed ? speeds_.slowdowns(used_) : used_;
    tried_ = believed;
    const std::size_t known = std::min(step - alike_since_, settled_steps), window = options_.window;
    const bool knows_more = is_settling_ && known >= 2 * searched_on_;
    const auto plan = [&](Loads loads, std::size_t steps, std::size_t iterations, std::size_t recent) {
      plans_.push_back({loads, step, steps, believed, iterations, load_shares(last_steps(step, recent))});
    };
    if (changed_suddenly(step)) sudden_until_ = step + window;
    const bool is_sudden = step < sudden_until_;
    const Matrix<double> recent = load_shares(last_steps(step, recall_steps));
    if (const Regime* regime = regimes_.nearest(recent, share_distance(recent, searched_for_)))
      plans_.push_back(
          {Loads::Before, step, regime->count, believed, search_iterations, regime->shares, regime->begin});
    const bool loads_changed = load_changed(step), is_due = step >= next_try_ && !is_sudden;
    const bool drifts =
        (is_due || (loads_changed && !is_sudden)) && telling_steps(drift_.trace, step, window, known) < known;
    if (drifts) {
      if (speed_changed || changes_.are_few(step)) plan(Loads::Carried, known, search_iterations, window);
    } else {
      if (loads_changed)
        plan(Loads::Window, window, search_iterations, window);
      else if (!is_sudden && !is_drifting_ && changed_just_now(step))
        plan(Loads::Window, window / 2, search_iterations, window / 2);
      const bool lasts = speed_lasts_from_ > 0 && step >= speed_lasts_from_ && !loads_changed && !is_sudden;
      if (speed_changed || lasts || knows_more)
        plan(Loads::Known, known, speed_changed || lasts ? search_iterations : 0, known);
      if (lasts) speed_lasts_from_ = 0;
    }
    if (knows_more) searched_on_ = known;
    is_settling_ = is_settling_ && known < settled_steps;
    if (!is_due) return;
    wait_ = std::min(2 * wait_, longest_wait * window);
    next_try_ = step + wait_;
  }

  ChangeQuestion question_of(const Plan& plan, const std::vector<Assignment>& present) const {
    const bool is_speed = plan.loads == Loads::Known && plan.slowdowns != used_;
    const double share = is_speed ? speed_prudence : plan.loads == Loads::Carried ? prudence * fading : prudence;
    const double horizon = share * regimes_.horizon(options_.horizon_steps);
    ChangeQuestion question{plan.slowdowns, {}, {}, {}, block_steps, plan.iterations, horizon, present};
    if (plan.loads == Loads::Before) {
      question.searched = steps_of(drift_.trace, plan.begin, plan.steps);
      question.judged = last_steps(plan.step, recall_steps);
      question.block_steps = short_block_steps;
    } else if (plan.loads == Loads::Carried) {
      const std::size_t judged = options_.window / 2;
      question.searched = carried_over(drift_.trace, plan.step - judged, plan.steps - judged, options_.window);
      question.judged = last_steps(plan.step, judged);
      question.all = carried_over(drift_.trace, plan.step, plan.steps, options_.window);
    } else {
      question.all = last_steps(plan.step, plan.steps);
      question.searched = steps_of(question.all, 0, plan.steps / 2);
      question.judged = steps_of(question.all, plan.steps / 2, plan.steps - plan.steps / 2);
      if (plan.steps < options_.window) question.block_steps = short_block_steps;
    }
    return question;
  }

  void adopt(Plan& plan, std::size_t step) {
    changes_.add(step);
    if (plan.loads == Loads::Before) begin_regime(plan.step - recall_steps);
    if (plan.loads == Loads::Window && (plan.step < sudden_until_ || plan.steps < options_.window))
      begin_regime(plan.step - plan.steps);
    if (plan.slowdowns != used_) {
      regimes_.count(step - used_since_);
      used_since_ = step;
      speed_lasts_from_ = step + lasting_windows * options_.window;
    }
    used_ = plan.slowdowns;
    searched_for_ = std::move(plan.shares);
    searched_on_ = plan.steps;
    is_settling_ = (plan.loads == Loads::Window || plan.loads == Loads::Known) && searched_on_ < settled_steps;
    is_drifting_ = plan.loads == Loads::Carried;
    sudden_until_ = 0;
    wait_ = options_.window;
    next_try_ = step + wait_;
  }

  // From that step on loads are others, unless they were before. A change that is seen a second time, within a window
  // of the first, is one change: the steps between aren't a regime.
  void begin_regime(std::size_t step) {
    if (step <= alike_since_) return;
    if (alike_since_ == 0 || step - alike_since_ >= options_.window) regimes_.remember(alike_since_, step);
    alike_since_ = step;
  }

  LoadTrace last_steps(std::size_t step, std::size_t count) const {
    return steps_of(drift_.trace, step - count, count);
  }

  // Whether the last steps differ from other loads by so many times what their halves do from each other.
  bool differs(std::size_t step, const Matrix<double>& from, std::size_t window, double factor = load_factor) const {
    const std::size_t half = window / 2;
    const double noise = share_distance(load_shares(steps_of(drift_.trace, step - window, half)),
                                        load_shares(last_steps(step, window - half)));
    return share_distance(load_shares(last_steps(step, window)), from) > factor * noise;
  }
  bool load_changed(std::size_t step) const { return differs(step, searched_for_, options_.window); }
  // From the window before: another task, not a slow drift.
  bool changed_suddenly(std::size_t step) const {
    const std::size_t window = options_.window;
    return step >= 2 * window && differs(step, load_shares(steps_of(drift_.trace, step - 2 * window, window)), window);
  }
  // The same, earlier: half a window, from what was searched for and from the window before it.
  bool changed_just_now(std::size_t step) const {
    const std::size_t window = options_.window, half = window / 2;
    return step >= half + window && differs(step, searched_for_, half, early_factor) &&
           differs(step, load_shares(steps_of(drift_.trace, step - half - window, window)), half, early_factor);
  }

  const LatencyProfile& profile_;
  const Drift& drift_;
  const AdaptationOptions& options_;
  std::vector<double> used_;          // [device] slowdowns that the placement was last searched for
  std::vector<double> tried_;         // [device] those that the last look searched with
  std::size_t used_since_ = 0;        // step
  std::size_t speed_lasts_from_ = 0;  // step; then what moved for a changed speed is thought over again; 0: it was
  SpeedEstimate speeds_;
  Regimes regimes_;
  Matrix<double> searched_for_;   // [layer, expert] shares of loads
  std::size_t alike_since_ = 0;   // step from which on loads are like those that were searched for, or drift from them
  std::size_t searched_on_ = 0;   // steps
  bool is_settling_ = false;      // the last change is so fresh that more steps will tell more
  bool is_drifting_ = false;      // the last change was for loads that drift
  std::size_t sudden_until_ = 0;  // step; loads have changed suddenly in the window before
  std::size_t next_try_;          // step from which on a better placement is looked for if loads drift
  std::size_t wait_;              // steps until then
  RecentChanges changes_;
  std::deque<Plan> plans_;
};

}  // namespace

std::unique_ptr<Policy> make_triggered_policy(const LatencyProfile& profile, const Drift& drift,
                                              const AdaptationOptions& options) {
  return std::make_unique<TriggeredGem>(profile, drift, options);
}

}  // namespace gem
