#include "adaptation/policies.hpp"

#include <algorithm>

#include "cost/cost_model.hpp"
#include "mapping/baselines.hpp"
#include "mapping/mixed_steps.hpp"
#include "model/device_selection.hpp"
#include "search/layer_search.hpp"
#include "search/redundant_experts.hpp"
#include "search/remap.hpp"

namespace gem {
namespace {

// As gem-map's default: few steps are mixed, so that a placement doesn't fit them too well.
constexpr std::size_t mixed_steps = 512;
constexpr std::size_t search_iterations = 25;  // of the oracle, too: no policy searches longer

// A layer after the other by the ordinary search.
std::vector<Assignment> search(const LatencyProfile& profile, const LoadTrace& trace, std::uint64_t seed) {
  const CostModel model(profile);
  const std::vector<Assignment> first = assignments_of(packed_mapping(PackedBy::Speed, model, trace, {}));
  const std::vector<LayerProblem> problems = layer_problems(model, with_mixed_steps(trace, mixed_steps, seed));
  std::vector<Assignment> found;
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    found.push_back(
        run_start(problems[layer], first[layer], RandomStream{seed, layer}, {.iterations = search_iterations})
            .assignment);
  return found;
}

std::vector<LayerChange> changes_between(const std::vector<Assignment>& present, std::vector<Assignment> wanted) {
  std::vector<LayerChange> changes;
  for (std::size_t layer = 0; layer < present.size(); ++layer)
    if (wanted[layer] != present[layer]) changes.push_back({layer, std::move(wanted[layer])});
  return changes;
}

class StaticPolicy : public Policy {
 public:
  explicit StaticPolicy(std::string name) : name_(std::move(name)) {}
  std::string name() const override { return name_; }

 private:
  std::string name_;
};

// What engines do: every so many steps all layers anew, by the mean loads of the last steps.
class PeriodicEplb : public Policy {
 public:
  PeriodicEplb(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& options)
      : model_(profile), drift_(drift), options_(options) {}
  std::string name() const override { return "periodic eplb"; }

  std::vector<LayerChange> decide(std::size_t step, const std::vector<Assignment>& present) override {
    const std::size_t begin = options_.train_steps;
    if (step <= begin || (step - begin) % options_.engine_interval != 0) return {};
    const std::size_t window = std::min(options_.engine_window, step);
    const LoadTrace seen = steps_of(drift_.trace, step - window, window);
    return changes_between(present, assignments_of(packed_mapping(PackedBy::Load, model_, seen, {})));
  }

 private:
  CostModel model_;
  const Drift& drift_;
  const AdaptationOptions& options_;
};

// The same times and steps, but the search decides, on the devices as they were profiled.
class PeriodicGem : public Policy {
 public:
  PeriodicGem(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& options)
      : profile_(profile), drift_(drift), options_(options) {}
  std::string name() const override { return "periodic gem"; }

  std::vector<LayerChange> decide(std::size_t step, const std::vector<Assignment>& present) override {
    const std::size_t begin = options_.train_steps;
    if (step <= begin || (step - begin) % options_.engine_interval != 0) return {};
    const std::size_t window = std::min(options_.engine_window, step);
    return changes_between(present, search(profile_, steps_of(drift_.trace, step - window, window), options_.seed));
  }

 private:
  const LatencyProfile& profile_;
  const Drift& drift_;
  const AdaptationOptions& options_;
};

// Knows what comes: it maps anew at each change, and every horizon at the latest, for the steps until it does so again,
// with the devices' speeds in them. Its moves have the same price, and must pay within these steps; there is no limit
// of them, and it searches as long as any other policy.
class Oracle : public Policy {
 public:
  Oracle(const LatencyProfile& profile, const Drift& drift, const AdaptationOptions& options)
      : profile_(profile), drift_(drift), options_(options), next_(options.train_steps) {}
  std::string name() const override { return oracle_policy; }

  std::vector<LayerChange> decide(std::size_t step, const std::vector<Assignment>& present) override {
    if (step < next_) return {};
    next_ = std::min(step + static_cast<std::size_t>(std::max(1.0, options_.horizon_steps)), drift_.trace.step_count());
    const auto change = std::ranges::upper_bound(drift_.changes, step);
    if (change != drift_.changes.end()) next_ = std::min(next_, *change);
    const std::size_t ahead = next_ - step;
    std::vector<double> slowdowns(drift_.slowdown.columns(), 0.0);
    for (std::size_t t = step; t < next_; ++t)
      for (std::size_t device = 0; device < slowdowns.size(); ++device)
        slowdowns[device] += drift_.slowdown(t, device) / static_cast<double>(ahead);
    const CostModel model(slowed_down(profile_, slowdowns));
    const std::vector<LayerProblem> problems = layer_problems(model, steps_of(drift_.trace, step, ahead));
    std::vector<Assignment> wanted;
    for (std::size_t layer = 0; layer < problems.size(); ++layer) {
      const std::int64_t price = move_price(problems[layer], options_.move_s, static_cast<double>(ahead));
      wanted.push_back(best_remap(problems[layer], device_contents(present[layer], slowdowns.size()),
                                  {.move_ticks = price, .seed = options_.seed}, search_iterations)
                           .assignment);
    }
    return changes_between(present, std::move(wanted));
  }

 private:
  const LatencyProfile& profile_;
  const Drift& drift_;
  const AdaptationOptions& options_;
  std::size_t next_;  // step before which it maps again
};

}  // namespace

std::vector<PolicyStart> make_policies(const LatencyProfile& profile, const Drift& drift,
                                       const AdaptationOptions& options) {
  const LoadTrace train = steps_of(drift.trace, 0, options.train_steps);
  const CostModel model(profile);
  const std::vector<Assignment> gem = search(profile, train, options.seed);
  std::vector<PolicyStart> policies;
  policies.push_back(
      {std::make_unique<StaticPolicy>("static linear"), assignments_of(linear_mapping(train, profile.device_count()))});
  policies.push_back({std::make_unique<StaticPolicy>(reference_policy), gem});
  policies.push_back({std::make_unique<PeriodicEplb>(profile, drift, options),
                      assignments_of(packed_mapping(PackedBy::Load, model, train, {}))});
  policies.push_back({std::make_unique<PeriodicGem>(profile, drift, options), gem});
  policies.push_back({make_triggered_policy(profile, drift, options), gem});
  policies.push_back({std::make_unique<Oracle>(profile, drift, options), gem});
  return policies;
}

}  // namespace gem
