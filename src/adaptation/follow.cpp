#include "adaptation/follow.hpp"

#include <algorithm>
#include <cmath>
#include <deque>

#include "base/random.hpp"
#include "cost/cost_model.hpp"
#include "cost/device_loads.hpp"
#include "model/expert_copies.hpp"

namespace gem {
namespace {

std::size_t moves_between(const Assignment& from, const Assignment& to) {
  std::size_t moves = 0;
  for (std::size_t expert = 0; expert < to.size(); ++expert) moves += from[expert] != to[expert] ? 1 : 0;
  return moves;
}

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
    if (!changes.empty()) wanted_.assign(changes.begin(), changes.end());
    std::size_t moved = 0;
    while (!wanted_.empty()) {
      LayerChange& change = wanted_.front();
      const std::size_t moves = moves_between(placement_[change.layer], change.assignment);
      if (policy_->is_gradual() && moved > 0 && moved + moves > options_.moves_a_step) break;
      homes_[change.layer] = ExpertHomes(change.assignment);
      placement_[change.layer] = std::move(change.assignment);
      moved += moves;
      wanted_.pop_front();
    }
    return moved;
  }

  /// Seconds of the step, the sum over layers of the slowest device's.
  double run(std::size_t step, const CostModel& model, const Drift& drift, const Matrix<double>& noise) {
    const std::size_t devices = model.device_count();
    Matrix<double> predicted_s(placement_.size(), devices), measured_s = predicted_s;
    std::vector<DeviceLoad> loads(devices);
    double step_s = 0.0;
    for (std::size_t layer = 0; layer < placement_.size(); ++layer) {
      sum_loads(drift.trace.counts.row(step, layer), homes_[layer], model.latencies().rules(), loads);
      double slowest_s = 0.0;
      for (std::size_t device = 0; device < devices; ++device) {
        predicted_s(layer, device) = model.stage(profiled_stage).seconds(device, loads[device]);
        measured_s(layer, device) = predicted_s(layer, device) * drift.slowdown(step, device) * noise(layer, device);
        slowest_s = std::max(slowest_s, measured_s(layer, device));
      }
      step_s += slowest_s;
    }
    policy_->observe(step, measured_s, predicted_s);
    return step_s;
  }

 private:
  std::unique_ptr<Policy> policy_;
  std::vector<Assignment> placement_;
  std::vector<ExpertHomes> homes_;
  std::deque<LayerChange> wanted_;
  const FollowOptions& options_;
};

}  // namespace

AdaptationReport follow(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& policies,
                        const FollowOptions& options, const std::function<void(std::size_t done)>& done) {
  const CostModel model(profile);
  std::vector<Follower> followers;
  for (PolicyStart& start : make_policies(profile, drift, policies)) followers.emplace_back(std::move(start), options);
  const std::size_t first = policies.train_steps, steps = drift.trace.step_count() - first;
  const std::size_t devices = profile.device_count();
  AdaptationReport report;
  report.device_kind = "simulated";
  report.first_step = first;
  report.move_s = policies.move_s;
  report.horizon_steps = policies.horizon_steps;
  report.step_s = report.pause_s = Matrix<double>(followers.size(), steps);
  report.moved = Matrix<std::uint32_t>(followers.size(), steps);
  report.slowdown = report.believed_slowdown = Matrix<double>(steps, devices, 1.0);
  for (const Follower& follower : followers) report.policies.push_back(follower.policy().name());
  for (const std::size_t change : drift.changes)
    if (change >= first) report.changes.push_back(static_cast<std::int32_t>(change - first));
  Matrix<double> noise(drift.trace.layer_count(), devices);
  for (std::size_t step = 0; step < steps; ++step) {
    RandomStream random{options.seed, first + step};
    for (double& factor : noise.values()) factor = std::exp(options.noise * random.normal());
    std::ranges::copy(drift.slowdown.row(first + step), report.slowdown.row(step).begin());
    for (std::size_t p = 0; p < followers.size(); ++p) {
      const std::size_t moved = followers[p].move(first + step);
      report.moved(p, step) = static_cast<std::uint32_t>(moved);
      report.pause_s(p, step) = static_cast<double>(moved) * policies.move_s;
      const std::vector<double> believed = followers[p].policy().believed_slowdowns();
      if (!believed.empty()) std::ranges::copy(believed, report.believed_slowdown.row(step).begin());
      report.step_s(p, step) = followers[p].run(first + step, model, drift, noise);
    }
    done(step + 1);
  }
  return report;
}

}  // namespace gem
