#include "adaptation/follow.hpp"

#include <algorithm>
#include <cmath>

#include "adaptation/move_queue.hpp"
#include "base/random.hpp"
#include "cost/device_loads.hpp"

namespace gem {
namespace {

// A policy at work: its placement, and what it still wants to change.
class Follower {
 public:
  Follower(PolicyStart start, const FollowOptions& options)
      : policy_(std::move(start.policy)), placement_(std::move(start.placement)), options_(options) {
    for (const Assignment& layer : placement_) homes_.emplace_back(layer);
  }

  const Policy& policy() const { return *policy_; }

  /// What moves before the step; returns the number of experts.
  std::size_t move(std::size_t step) {
    std::vector<LayerChange> changes = policy_->decide(step, placement_);
    if (!changes.empty()) queue_.want(std::move(changes));
    const std::size_t budget = policy_->is_gradual() ? options_.moves_a_step : SIZE_MAX;
    std::size_t moved = 0;
    while (moved < budget) {
      const MoveBatch batch = queue_.next(placement_, budget - moved);
      if (batch.transfers.empty()) break;
      moved += batch.transfers.size();
      if (!batch.completes) continue;
      queue_.complete(placement_);
      homes_[batch.layer] = ExpertHomes(placement_[batch.layer]);
    }
    return moved;
  }

  /// Seconds of the step, the sum over layers of the slowest device's.
  double run(std::size_t step, const CostModel& model, const Drift& drift, const Matrix<double>& noise) {
    const Matrix<double> predicted_s = predicted_seconds(model, drift.trace, step, homes_);
    Matrix<double> measured_s = predicted_s;
    double step_s = 0.0;
    for (std::size_t layer = 0; layer < measured_s.rows(); ++layer) {
      for (std::size_t device = 0; device < measured_s.columns(); ++device)
        measured_s(layer, device) *= drift.slowdown(step, device) * noise(layer, device);
      step_s += *std::ranges::max_element(measured_s.row(layer));
    }
    policy_->observe(step, measured_s, predicted_s);
    return step_s;
  }

 private:
  std::unique_ptr<Policy> policy_;
  std::vector<Assignment> placement_;
  std::vector<ExpertHomes> homes_;
  MoveQueue queue_;
  const FollowOptions& options_;
};

}  // namespace

AdaptationReport begin_report(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                              const std::vector<std::string>& names) {
  const std::size_t first = policies.train_steps, steps = drift.trace.step_count() - first;
  AdaptationReport report;
  report.first_step = first;
  report.move_s = policies.move_s;
  report.horizon_steps = policies.horizon_steps;
  report.policies = names;
  report.step_s = report.pause_s = Matrix<double>(names.size(), steps);
  report.moved = Matrix<std::uint32_t>(names.size(), steps);
  report.slowdown = report.believed_slowdown = Matrix<double>(steps, profile.device_count(), 1.0);
  for (std::size_t step = 0; step < steps; ++step)
    std::ranges::copy(drift.slowdown.row(first + step), report.slowdown.row(step).begin());
  for (const std::size_t change : drift.changes)
    if (change >= first) report.changes.push_back(static_cast<std::int32_t>(change - first));
  return report;
}

Matrix<double> predicted_seconds(const CostModel& model, const LoadTrace& trace, std::size_t step,
                                 const std::vector<ExpertHomes>& homes) {
  Matrix<double> seconds(homes.size(), model.device_count());
  std::vector<DeviceLoad> loads(model.device_count());
  for (std::size_t layer = 0; layer < homes.size(); ++layer) {
    sum_loads(trace.counts.row(step, layer), homes[layer], model.latencies().rules(), loads);
    for (std::size_t device = 0; device < loads.size(); ++device)
      seconds(layer, device) = model.stage(profiled_stage).seconds(device, loads[device]);
  }
  return seconds;
}

AdaptationReport follow(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                        const FollowOptions& options, const std::function<void(std::size_t done)>& done,
                        const PolicyDeal& deal) {
  const CostModel model(profile);
  std::vector<Follower> followers;
  std::vector<std::string> names;
  for (PolicyStart& start : make_policies(profile, drift, policies)) {
    names.push_back(start.policy->name());
    followers.emplace_back(std::move(start), options);
  }
  AdaptationReport report = begin_report(profile, drift, policies, names);
  report.device_kind = "simulated";
  Matrix<double> noise(drift.trace.layer_count(), profile.device_count());
  for (std::size_t step = 0; step < report.step_count(); ++step) {
    const std::size_t run_step = report.first_step + step;
    RandomStream random{options.seed, run_step};
    for (double& factor : noise.values()) factor = std::exp(options.noise * random.normal());
    for (std::size_t p = deal.first; p < followers.size(); p += deal.stride) {
      const std::size_t moved = followers[p].move(run_step);
      report.moved(p, step) = static_cast<std::uint32_t>(moved);
      report.pause_s(p, step) = static_cast<double>(moved) * policies.move_s;
      const std::vector<double> believed = followers[p].policy().believed_slowdowns();
      if (!believed.empty()) std::ranges::copy(believed, report.believed_slowdown.row(step).begin());
      report.step_s(p, step) = followers[p].run(run_step, model, drift, noise);
    }
    done(step + 1);
  }
  return report;
}

}  // namespace gem
