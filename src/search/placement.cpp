#include "search/placement.hpp"

#include <algorithm>

namespace gem {

Placement::Placement(const LayerProblem& problem, Assignment assignment)
    : problem_(&problem), assignment_(std::move(assignment)) {
  const std::size_t devices = problem.device_count(), steps = problem.padded_steps();
  experts_of_.resize(devices);
  loads_.assign(devices * steps, 0);
  if (problem.has_extras()) extras_.assign(devices * steps, 0);
  times_.assign(devices * steps, 0);
  for (std::size_t e = 0; e < assignment_.size(); ++e) {
    const auto expert = static_cast<std::int32_t>(e);
    const std::int32_t device = assignment_[e];
    experts_of_[static_cast<std::size_t>(device)].push_back(expert);
    add(device, expert, 1);
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(devices); ++d)
    look_up(times_.data() + offset(d), load(d), table(d), steps);
  for (auto& times : slowest_time_) times.resize(steps);
  for (auto& ids : slowest_device_) ids.resize(steps);
  steps_of_straggler_.resize(devices);
  refresh_slowest();
}

void Placement::add(std::int32_t device, std::int32_t expert, std::int32_t sign) {
  const std::size_t steps = problem_->padded_steps();
  const LoadRow row = problem_->row(expert);
  add_keys(loads_.data() + offset(device), row.key, sign, steps);
  if (row.extra != nullptr) add_keys(extras_.data() + offset(device), row.extra, sign, steps);
}

void Placement::refresh_slowest() {
  const std::size_t devices = problem_->device_count(), steps = problem_->padded_steps();
  const SlowestThree<std::int32_t> slowest{{slowest_time_[0].data(), slowest_time_[1].data(), slowest_time_[2].data()},
                                           {slowest_device_[0].data(), slowest_device_[1].data()}};
  find_slowest(slowest, problem_->floor().data(), times_.data(), steps, devices, steps);
  cost_ = sum_of(slowest_time_[0].data(), steps);

  alone_.assign(devices, 0);
  together_.assign(devices * devices, 0);
  for (auto& list : steps_of_straggler_) list.clear();
  for (std::size_t t = 0; t < steps; ++t) {
    if (slowest_device_[0][t] < 0) continue;  // the floor decides
    const auto first = static_cast<std::size_t>(slowest_device_[0][t]);
    steps_of_straggler_[first].push_back(static_cast<std::int32_t>(t));
    alone_[first] += slowest_time_[0][t] - slowest_time_[1][t];
    if (slowest_device_[1][t] < 0) continue;  // below it is the floor, or nothing
    together_[first * devices + static_cast<std::size_t>(slowest_device_[1][t])] +=
        slowest_time_[1][t] - slowest_time_[2][t];
  }
}

std::int64_t Placement::promise(std::int32_t first, std::int32_t second) const {
  const std::size_t devices = problem_->device_count();
  const auto a = static_cast<std::size_t>(first), b = static_cast<std::size_t>(second);
  return alone_[a] + alone_[b] + together_[a * devices + b] + together_[b * devices + a];
}

void Placement::slowest_of_others(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const {
  out.resize(problem_->padded_steps());
  const SlowestThree<const std::int32_t> slowest{
      {slowest_time_[0].data(), slowest_time_[1].data(), slowest_time_[2].data()},
      {slowest_device_[0].data(), slowest_device_[1].data()}};
  gem::slowest_of_others(out.data(), slowest, first, second, out.size());
}

bool Placement::holds_another(std::int32_t device, std::int32_t copy) const {
  const std::vector<std::int32_t>& expert_of_copy = problem_->expert_of_copy();
  const auto own = static_cast<std::size_t>(copy);
  const auto is_there = [&](std::size_t other) { return assignment_[other] == device; };
  for (std::size_t other = own; other-- > 0 && expert_of_copy[other] == expert_of_copy[own];)
    if (is_there(other)) return true;
  for (std::size_t other = own + 1; other < assignment_.size() && expert_of_copy[other] == expert_of_copy[own]; ++other)
    if (is_there(other)) return true;
  return false;
}

bool Placement::may_apply(Swap swap) const {
  return !problem_->has_copies() || (!holds_another(assignment_[static_cast<std::size_t>(swap.second)], swap.first) &&
                                     !holds_another(assignment_[static_cast<std::size_t>(swap.first)], swap.second));
}

std::int64_t Placement::evaluate(Swap swap) const {
  const std::int32_t first = assignment_[static_cast<std::size_t>(swap.first)];
  const std::int32_t second = assignment_[static_cast<std::size_t>(swap.second)];
  std::vector<std::int32_t> others;
  slowest_of_others(first, second, others);
  const SwapSteps steps{load(first), load(second), others.data(), table(first), table(second)};
  std::uint64_t summed = 0;
  const std::int64_t excess =
      swapped_excess(steps, problem_->row(swap.first), problem_->row(swap.second), others.size(), INT64_MAX, summed);
  return excess - promise(first, second);
}

void Placement::apply(Swap swap) {
  const std::size_t steps = problem_->padded_steps();
  const std::int32_t devices[] = {assignment_[static_cast<std::size_t>(swap.first)],
                                  assignment_[static_cast<std::size_t>(swap.second)]};
  const std::int32_t leaving[] = {swap.first, swap.second};
  for (int side = 0; side < 2; ++side) {
    const std::int32_t device = devices[side], out = leaving[side], in = leaving[1 - side];
    std::vector<std::int32_t>& experts = experts_of_[static_cast<std::size_t>(device)];
    *std::find(experts.begin(), experts.end(), out) = in;
    assignment_[static_cast<std::size_t>(in)] = device;
    add(device, out, -1);
    add(device, in, 1);
    look_up(times_.data() + offset(device), load(device), table(device), steps);
  }
  refresh_slowest();
}

}  // namespace gem
