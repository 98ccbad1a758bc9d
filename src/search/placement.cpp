#include "search/placement.hpp"

#include <algorithm>

namespace gem {

Placement::Placement(const LayerProblem& problem, Assignment assignment)
    : problem_(&problem), assignment_(std::move(assignment)) {
  const std::size_t devices = problem.device_count(), columns = problem.column_count();
  experts_of_.resize(devices);
  loads_.resize(devices * columns);
  for (std::size_t d = 0; d < devices; ++d) problem.empty_load(loads_.data() + d * columns);
  if (problem.has_added()) added_.assign(devices * columns, 0);
  times_.assign(devices * columns, 0);
  for (std::size_t e = 0; e < assignment_.size(); ++e) {
    const auto expert = static_cast<std::int32_t>(e);
    const std::int32_t device = assignment_[e];
    experts_of_[static_cast<std::size_t>(device)].push_back(expert);
    add(device, expert, 1);
    if (problem.has_present()) moves_ += static_cast<std::size_t>(problem.is_move(expert, device));
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(devices); ++d)
    look_up(times_.data() + offset(d), load(d), table(d), columns);
  for (auto& times : slowest_time_) times.resize(columns);
  for (auto& ids : slowest_device_) ids.resize(columns);
  columns_of_straggler_.resize(devices);
  refresh_slowest();
}

void Placement::add(std::int32_t device, std::int32_t expert, std::int32_t sign) {
  const std::size_t columns = problem_->column_count();
  const LoadRow row = problem_->row(expert);
  add_keys(loads_.data() + offset(device), row.key, sign, columns);
  if (row.added != nullptr) add_keys(added_.data() + offset(device), row.added, sign, columns);
}

void Placement::refresh_slowest() {
  const std::size_t devices = problem_->device_count(), columns = problem_->column_count();
  const SlowestThree<std::int32_t> slowest{{slowest_time_[0].data(), slowest_time_[1].data(), slowest_time_[2].data()},
                                           {slowest_device_[0].data(), slowest_device_[1].data()}};
  find_slowest(slowest, problem_->floor().data(), times_.data(), columns, devices, columns);
  cost_ = sum_of(slowest_time_[0].data(), columns);

  above_second_.assign(devices, 0);
  above_third_.assign(devices * devices, 0);
  for (auto& list : columns_of_straggler_) list.clear();
  for (std::size_t t = 0; t < columns; ++t) {
    if (slowest_device_[0][t] < 0) continue;  // the floor decides
    const auto first = static_cast<std::size_t>(slowest_device_[0][t]);
    columns_of_straggler_[first].push_back(static_cast<std::int32_t>(t));
    above_second_[first] += slowest_time_[0][t] - slowest_time_[1][t];
    if (slowest_device_[1][t] < 0) continue;  // below it is the floor, or nothing
    above_third_[first * devices + static_cast<std::size_t>(slowest_device_[1][t])] +=
        slowest_time_[1][t] - slowest_time_[2][t];
  }
}

std::int64_t Placement::max_saving(std::int32_t first, std::int32_t second) const {
  const std::size_t devices = problem_->device_count();
  const auto a = static_cast<std::size_t>(first), b = static_cast<std::size_t>(second);
  return above_second_[a] + above_second_[b] + above_third_[a * devices + b] + above_third_[b * devices + a];
}

void Placement::slowest_of_others(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const {
  out.resize(problem_->column_count());
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

void Placement::apply(std::span<const Relocation> relocations) {
  constexpr std::int32_t free_slot = -1;
  const auto slot_of = [&](std::int32_t device, std::int32_t expert) {
    std::vector<std::int32_t>& experts = experts_of_[static_cast<std::size_t>(device)];
    return std::find(experts.begin(), experts.end(), expert);
  };
  for (const Relocation& relocation : relocations) {
    const std::int32_t from = device_of(relocation.expert);
    *slot_of(from, relocation.expert) = free_slot;
    add(from, relocation.expert, -1);
    if (!problem_->has_present()) continue;
    moves_ += static_cast<std::size_t>(problem_->is_move(relocation.expert, relocation.device));
    moves_ -= static_cast<std::size_t>(problem_->is_move(relocation.expert, from));
  }
  for (const Relocation& relocation : relocations) {
    *slot_of(relocation.device, free_slot) = relocation.expert;
    add(relocation.device, relocation.expert, 1);
    assignment_[static_cast<std::size_t>(relocation.expert)] = relocation.device;
  }
  // Each device gets an expert, so that each is looked up.
  for (const Relocation& relocation : relocations)
    look_up(times_.data() + offset(relocation.device), load(relocation.device), table(relocation.device),
            problem_->column_count());
  refresh_slowest();
}

}  // namespace gem
