#include "adaptation/follow_devices.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "cost/cost_model.hpp"
#include "device/device_kind.hpp"
#include "verification/token_routes.hpp"

namespace gem {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Steps between two whose outputs are compared, where nothing moves.
constexpr std::size_t check_interval = 32;

// Work before each load of a GPU, which would rest and clock up otherwise, as in a replay.
constexpr double min_busy_s = 1e-3;

// Rank 0's assignments on all ranks.
void broadcast_assignments(const Communicator& ranks, std::vector<Assignment>& assignments) {
  assignments.resize(ranks.broadcast(static_cast<std::uint64_t>(assignments.size())));
  for (Assignment& assignment : assignments) ranks.broadcast(assignment);
}

std::vector<LayerChange> broadcast_changes(const Communicator& ranks, const std::vector<LayerChange>& changes) {
  std::vector<std::uint64_t> layers;
  std::vector<Assignment> assignments;
  for (const LayerChange& change : changes) {
    layers.push_back(change.layer);
    assignments.push_back(change.assignment);
  }
  ranks.broadcast(layers);
  broadcast_assignments(ranks, assignments);
  std::vector<LayerChange> all;
  for (std::size_t i = 0; i < layers.size(); ++i)
    all.push_back({static_cast<std::size_t>(layers[i]), std::move(assignments[i])});
  return all;
}

// What a step under one policy came to, on rank 0.
struct StepTimes {
  Matrix<double> compute_s;    // [layer, device]
  Matrix<double> predicted_s;  // likewise, by the profile
  double step_s = 0.0;         // sum over layers of the slowest device's
  double exchange_s = 0.0;     // likewise of dispatch and combine
};

// How outputs compare with those of the policy that never moves.
struct OutputCheck {
  std::int64_t values = 0;
  std::int64_t unequal = 0;  // to the bit
  double error = 0.0;        // ||difference|| / ||reference||, the largest of a layer
};

using LayerOutputs = std::vector<std::vector<float>>;

OutputCheck compare(const Communicator& ranks, const LayerOutputs& found, const LayerOutputs& reference) {
  OutputCheck check;
  for (std::size_t layer = 0; layer < reference.size(); ++layer) {
    double difference = 0.0, norm = 0.0;
    for (std::size_t i = 0; i < reference[layer].size(); ++i) {
      const double expected = reference[layer][i], off = found[layer][i] - expected;
      check.unequal += found[layer][i] == reference[layer][i] ? 0 : 1;
      difference += off * off;
      norm += expected * expected;
    }
    check.values += static_cast<std::int64_t>(reference[layer].size());
    difference = ranks.sum(difference);
    norm = ranks.sum(norm);
    const double error = difference == 0.0 ? 0.0 : std::sqrt(difference / norm);
    check.error = std::fmax(check.error, std::isfinite(error) ? error : std::numeric_limits<double>::infinity());
  }
  check.values = ranks.sum(check.values);
  check.unequal = ranks.sum(check.unequal);
  return check;
}

// A policy at work on this rank's device, in layers of its own there. Rank 0 decides, and all ranks move alike.
class LivePolicy {
 public:
  LivePolicy(const Communicator& ranks, const LiveDevice& live, std::size_t first_layer, PolicyStart start,
             const FollowOptions& options)
      : ranks_(ranks),
        live_(live),
        first_layer_(first_layer),
        policy_(std::move(start.policy)),
        placement_(std::move(start.placement)),
        options_(options) {
    is_gradual_ = ranks_.broadcast(policy_ != nullptr && policy_->is_gradual() ? 1 : 0) == 1;
    broadcast_assignments(ranks_, placement_);
    for (const Assignment& layer : placement_) homes_.emplace_back(layer);
    slots_.resize(placement_.size());
    ranks_.on_all([&] { place(); });
  }

  /// On rank 0 alone.
  Policy& policy() const { return *policy_; }

  void decide(std::size_t step) {
    std::vector<LayerChange> changes;
    ranks_.on_root([&] { changes = policy_->decide(step, placement_); });
    changes = broadcast_changes(ranks_, changes);
    if (!changes.empty()) queue_.want(std::move(changes));
  }

  /// Whether something is or has just been on its way.
  bool is_moving() const { return !queue_.is_empty() || moved_ > 0; }

  /// What moves before the step while steps stand still, and what begins to move beside it.
  void begin_moves() {
    moved_ = 0;
    pause_s_ = 0.0;
    const std::size_t budget = is_gradual_ ? options_.moves_a_step : SIZE_MAX;
    if (moves_beside()) {
      if (take_batch(budget)) live_.mover.begin(first_layer_ + batch_.layer, batch_);
      return;
    }
    while (moved_ < budget && take_batch(budget - moved_)) {
      ranks_.barrier();
      const Clock::time_point begin = Clock::now();
      live_.mover.begin(first_layer_ + batch_.layer, batch_);
      arrive(begin);
    }
  }

  /// After the step: what moved beside it arrives.
  void end_moves() {
    if (moves_beside() && !batch_.transfers.empty()) arrive(Clock::now());
  }

  std::size_t moved() const { return moved_; }
  double pause_s() const { return pause_s_; }

  /// Runs a step; `outputs`, if any, gets those of this rank's tokens.
  StepTimes run(const CostModel& model, const LoadTrace& trace, std::size_t step, LayerOutputs* outputs) {
    std::vector<double> times;
    for (std::size_t layer = 0; layer < placement_.size(); ++layer) {
      const LayerTimes layer_times = run_layer(trace, step, layer);
      times.insert(times.end(), {layer_times.compute_s, layer_times.dispatch_s, layer_times.combine_s});
      if (outputs != nullptr) outputs->push_back(live_.layer.outputs());
      if (!batch_.transfers.empty()) live_.mover.advance();
    }
    StepTimes all = gathered(times);
    if (ranks_.is_root()) all.predicted_s = predicted_seconds(model, trace, step, homes_);
    return all;
  }

 private:
  static constexpr std::size_t times_of_layer = 3;

  bool moves_beside() const { return is_gradual_ && options_.moving == Moving::During; }

  void place() {
    for (std::size_t layer = 0; layer < placement_.size(); ++layer) {
      std::vector<ExpertId> experts;
      for (std::size_t expert = 0; expert < placement_[layer].size(); ++expert)
        if (placement_[layer][expert] == ranks_.rank()) {
          slots_[layer].push_back(static_cast<std::int32_t>(expert));
          experts.push_back(ExpertId{slots_[layer].back()});
        }
      live_.device.place_experts(first_layer_ + layer, experts);
    }
  }

  // The next to move. Room for it isn't counted: engines have it from the beginning.
  bool take_batch(std::size_t budget) {
    batch_ = queue_.next(placement_, budget);
    if (batch_.transfers.empty()) return false;
    std::size_t places = 0;
    for (ExpertTransfer& transfer : batch_.transfers) {
      transfer.place += first_place();
      if (transfer.to == ranks_.rank()) places = std::max(places, transfer.place + 1);
    }
    ranks_.on_all([&] { live_.device.moves_experts()->reserve_spares(places); });
    return true;
  }

  // What waits in spare places for the rest of its layer while other policies move is behind theirs: a layer's arrivals
  // are no more than a device's experts.
  std::size_t first_place() const { return is_gradual_ ? std::ranges::max(slots_, {}, slot_count).size() : 0; }
  static std::size_t slot_count(const std::vector<std::int32_t>& slots) { return slots.size(); }

  // No expert leaves its place before all ranks have all that comes to them.
  void arrive(Clock::time_point begin) {
    live_.mover.wait();
    ranks_.barrier();
    if (batch_.completes) change_slots();
    pause_s_ += ranks_.max(seconds_since(begin));
    moved_ += batch_.transfers.size();
    batch_ = {};
  }

  void change_slots() {
    const Assignment before = placement_[batch_.layer];
    queue_.complete(placement_);
    const Assignment& now = placement_[batch_.layer];
    for (const SlotChange& change : slot_changes(before, now, ranks_.rank())) {
      live_.device.moves_experts()->replace(first_layer_ + batch_.layer, ExpertId{change.leaving},
                                            ExpertId{change.arriving}, first_place() + change.place);
      std::ranges::replace(slots_[batch_.layer], change.leaving, change.arriving);
    }
    homes_[batch_.layer] = ExpertHomes(now);
  }

  LayerTimes run_layer(const LoadTrace& trace, std::size_t step, std::size_t layer) {
    const TokenRoutes routes =
        in_slot_order(routes_of(trace.counts.row(step, layer), homes_[layer], trace.top_k,
                                static_cast<std::size_t>(ranks_.size()), static_cast<std::size_t>(ranks_.rank())),
                      slots_[layer]);
    live_.layer.prepare(first_layer_ + layer, routes, slots_[layer]);
    if (live_.device.kind().measuring.kept_busy)
      live_.device.keep_busy(first_layer_ + layer, tokens_per_slot(routes, slots_[layer]), busy_launches_);
    const LayerTimes times = live_.layer.run();
    if (times.compute_s > 0.0) busy_launches_ = static_cast<std::size_t>(std::ceil(min_busy_s / times.compute_s));
    return times;
  }

  StepTimes gathered(const std::vector<double>& mine) const {
    const std::vector<double> all = ranks_.gather(std::span<const double>(mine));
    const std::size_t devices = all.size() / mine.size();  // 0 but on rank 0
    StepTimes times{Matrix<double>(placement_.size(), devices), {}};
    for (std::size_t layer = 0; layer < placement_.size() && devices > 0; ++layer) {
      double slowest_s[times_of_layer] = {};
      for (std::size_t device = 0; device < devices; ++device) {
        const double* own = &all[device * mine.size() + layer * times_of_layer];
        times.compute_s(layer, device) = own[0];
        for (std::size_t i = 0; i < times_of_layer; ++i) slowest_s[i] = std::max(slowest_s[i], own[i]);
      }
      times.step_s += slowest_s[0];
      times.exchange_s += slowest_s[1] + slowest_s[2];
    }
    return times;
  }

  const Communicator& ranks_;
  const LiveDevice& live_;
  std::size_t first_layer_;
  std::unique_ptr<Policy> policy_;  // on rank 0
  bool is_gradual_ = false;
  std::vector<Assignment> placement_;
  std::vector<ExpertHomes> homes_;
  std::vector<std::vector<std::int32_t>> slots_;  // [layer] experts of this rank's device
  MoveQueue queue_;
  MoveBatch batch_;  // on its way
  std::size_t moved_ = 0;
  double pause_s_ = 0.0;
  std::size_t busy_launches_ = 1;
  const FollowOptions& options_;
};

/// The run of all policies, step by step.
class LiveRun {
 public:
  LiveRun(const Communicator& ranks, const LiveDevice& live, const LatencyProfile& profile, const Drift& drift,
          const AdaptationOptions& policies, const FollowOptions& options)
      : ranks_(ranks), live_(live), drift_(drift), first_(policies.train_steps), model_(profile) {
    std::vector<PolicyStart> starts;
    ranks_.on_root([&] { starts = make_policies(profile, drift, policies); });
    starts.resize(ranks_.broadcast(static_cast<std::uint64_t>(starts.size())));
    for (PolicyStart& start : starts)
      policies_.emplace_back(ranks_, live_, policies_.size() * drift_.trace.layer_count(), std::move(start), options);
    std::vector<std::string> names;
    if (ranks_.is_root())
      for (const LivePolicy& policy : policies_) names.push_back(policy.policy().name());
    report_ = begin_report(profile, drift, policies, names);
    report_.moving = word_of(options.moving);
    report_.exchange_s = report_.step_s;
    report_.output_error.assign(names.size(), 0.0);
    report_.checked_values = report_.unequal_values = std::vector<std::int64_t>(names.size(), 0);
    reference_ = static_cast<std::size_t>(
        ranks_.broadcast(static_cast<std::uint64_t>(std::ranges::find(names, reference_policy) - names.begin())));
  }

  AdaptationReport run(const std::function<void(std::size_t)>& done) {
    set_speed(first_ - 1);
    for (LivePolicy& policy : policies_)
      policy.run(model_, drift_.trace, first_ - 1, nullptr);  // loads code, warms caches
    const std::size_t steps = drift_.trace.step_count() - first_;
    for (std::size_t step = 0; step < steps; ++step) {
      run_step(step);
      done(step + 1);
    }
    return std::move(report_);
  }

 private:
  void set_speed(std::size_t step) {
    ranks_.on_all([&] {
      live_.device.moves_experts()->set_slowdown(live_.slowdown *
                                                 drift_.slowdown(step, static_cast<std::size_t>(ranks_.rank())));
    });
  }

  void run_step(std::size_t step) {
    set_speed(first_ + step);
    bool is_checked = step % check_interval == 0;
    for (LivePolicy& policy : policies_) {
      is_checked = is_checked || policy.is_moving();
      policy.decide(first_ + step);
      is_checked = is_checked || policy.is_moving();
    }
    LayerOutputs reference;
    for (const std::size_t p : order_of(step)) {
      LayerOutputs outputs;
      policies_[p].begin_moves();
      const StepTimes times = policies_[p].run(model_, drift_.trace, first_ + step, is_checked ? &outputs : nullptr);
      policies_[p].end_moves();
      if (p == reference_) reference = outputs;
      const OutputCheck check = compare(ranks_, outputs, is_checked ? reference : LayerOutputs());
      if (ranks_.is_root()) keep(p, step, times, check);
    }
  }

  // The reference first, so that others are compared with it; these in turn, so that none always follows another.
  std::vector<std::size_t> order_of(std::size_t step) const {
    std::vector<std::size_t> order{reference_};
    for (std::size_t i = 0; i < policies_.size(); ++i)
      if (const std::size_t p = (i + step) % policies_.size(); p != reference_) order.push_back(p);
    return order;
  }

  void keep(std::size_t p, std::size_t step, const StepTimes& times, const OutputCheck& check) {
    LivePolicy& policy = policies_[p];
    const std::vector<double> believed = policy.policy().believed_slowdowns();
    if (!believed.empty()) std::ranges::copy(believed, report_.believed_slowdown.row(step).begin());
    policy.policy().observe(first_ + step, times.compute_s, times.predicted_s);
    report_.step_s(p, step) = times.step_s;
    report_.exchange_s(p, step) = times.exchange_s;
    report_.pause_s(p, step) = policy.pause_s();
    report_.moved(p, step) = static_cast<std::uint32_t>(policy.moved());
    report_.output_error[p] = std::max(report_.output_error[p], check.error);
    report_.checked_values[p] += check.values;
    report_.unequal_values[p] += check.unequal;
  }

  const Communicator& ranks_;
  const LiveDevice& live_;
  const Drift& drift_;
  std::size_t first_;
  CostModel model_;
  std::vector<LivePolicy> policies_;
  std::size_t reference_ = 0;
  AdaptationReport report_;
};

}  // namespace

AdaptationReport follow_on_devices(const Communicator& ranks, const LiveDevice& live, const LatencyProfile& profile,
                                   const Drift& drift, const AdaptationOptions& policies, const FollowOptions& options,
                                   const std::function<void(std::size_t done)>& done) {
  return LiveRun(ranks, live, profile, drift, policies, options).run(done);
}

}  // namespace gem
