#include "search/placement.hpp"

#include <algorithm>
#include <numeric>

namespace gem {

Placement::Placement(const LayerProblem& problem, Assignment assignment, std::vector<std::int32_t> weights)
    : problem_(&problem), assignment_(std::move(assignment)), weights_(std::move(weights)) {
  const std::size_t devices = problem.device_count(), columns = problem.column_count();
  if (weights_.empty()) weights_.assign(columns, 1);
  weights_differ_ = std::ranges::any_of(weights_, [](std::int32_t weight) { return weight != 1; });
  experts_of_.resize(devices);
  loads_.resize(devices * problem.key_count());
  for (std::size_t d = 0; d < devices; ++d) problem.empty_load(loads_.data() + d * problem.key_count());
  if (problem.has_added()) added_.assign(devices * columns, 0);
  times_.assign(devices * columns, 0);
  const std::vector<std::int32_t>& nodes = problem.tables().node_of();
  for (std::size_t d = 0; d < nodes.size(); ++d) {
    const auto node = static_cast<std::size_t>(nodes[d]);
    if (devices_of_node_.size() <= node) devices_of_node_.resize(node + 1);
    devices_of_node_[node].push_back(static_cast<std::int32_t>(d));
  }
  for (std::size_t e = 0; e < assignment_.size(); ++e) {
    const auto expert = static_cast<std::int32_t>(e);
    const std::int32_t device = assignment_[e];
    experts_of_[static_cast<std::size_t>(device)].push_back(expert);
    add(device, expert, 1);
    if (problem.has_present()) moves_ += static_cast<std::size_t>(problem.is_move(expert, device));
  }
  for (std::int32_t d = 0; d < static_cast<std::int32_t>(devices); ++d) look_up_times(d);
  if (!problem.has_added() && problem.tables().choices().empty() && nodes.empty()) {
    slot_stride_ = gem::slot_stride(problem.slots_of(0));
    slot_keys_.resize(devices * columns * slot_stride_);
    for (std::size_t d = 0; d < devices; ++d)
      for (std::size_t slot = 0; slot < experts_of_[d].size(); ++slot) fill_slot(static_cast<std::int32_t>(d), slot);
  }
  for (auto& times : slowest_time_) times.resize(columns);
  for (auto& ids : slowest_device_) ids.resize(columns);
  refresh_slowest();
}

void Placement::add(std::int32_t device, std::int32_t expert, std::int32_t sign) {
  const std::size_t own = problem_->first_node_column(), columns = problem_->column_count();
  const LoadRow row = problem_->row(expert);
  const auto add_columns = [&](std::int32_t to, std::size_t begin, std::size_t end) {
    for (std::size_t at = begin; at < problem_->key_count(); at += columns)  // in each plane
      add_keys(loads_.data() + key_offset(to) + at, row.key + at, sign, end - begin);
    if (row.added != nullptr) add_keys(added_.data() + offset(to) + begin, row.added + begin, sign, end - begin);
  };
  add_columns(device, 0, own);
  if (own == columns) return;
  for (const std::int32_t neighbour : neighbours(device)) add_columns(neighbour, own, columns);
}

void Placement::fill_slot(std::int32_t device, std::size_t slot) {
  const std::vector<std::int32_t>& experts = experts_of(device);
  const std::int32_t* const key = problem_->row(experts[slot]).key;
  const std::size_t columns = problem_->column_count(), stride = slot_stride_;
  std::int32_t* to = slot_keys_.data() + offset(device) * stride;
  for (std::size_t t = 0; t < columns; ++t) to[t * stride + slot] = key[t];
  if (slot + 1 < experts.size()) return;
  for (std::size_t t = 0; t < columns; ++t, to += stride) std::fill(to + slot + 1, to + stride, key[t]);
}

void Placement::look_up_times(std::int32_t device) {
  const std::size_t own = problem_->first_node_column(), columns = problem_->column_count();
  const LoadPlanes planes = planes_of(problem_->tables(), columns);
  look_up(times_.data() + offset(device), load(device), table(device), own, planes);
  if (own == columns) return;
  const std::int32_t first = neighbours(device).front();
  const LoadRow sum = load(first);
  look_up(times_.data() + offset(first) + own, {sum.key + own, sum.added == nullptr ? nullptr : sum.added + own},
          table(first), columns - own, planes);
}

void Placement::refresh_slowest() {
  const std::size_t devices = problem_->device_count(), columns = problem_->column_count();
  const SlowestThree<std::int32_t> slowest{{slowest_time_[0].data(), slowest_time_[1].data(), slowest_time_[2].data()},
                                           {slowest_device_[0].data(), slowest_device_[1].data()}};
  find_slowest(slowest, problem_->floor().data(), times_.data(), columns, devices, columns);
  cost_ = weighted_sum(slowest_time_[0].data(), weights_.data(), columns);

  const std::size_t own = problem_->first_node_column();
  note(devices_, devices, 0, own, [](std::int32_t device) { return device; });
  note(nodes_, devices_of_node_.size(), own, columns, [&](std::int32_t device) { return node_of(device); });
}

template <class StragglerOf>
void Placement::note(Stragglers& stragglers, std::size_t count, std::size_t first_column, std::size_t last_column,
                     const StragglerOf& straggler_of) const {
  stragglers.above_second.assign(count, 0);
  stragglers.above_third.assign(count * count, 0);
  stragglers.begin.assign(count + 2, 0);
  stragglers.columns.resize(last_column - first_column);
  // Where the floor decides there is no straggler.
  const std::int32_t* const straggler = slowest_device_[0].data();
  for (std::size_t t = first_column; t < last_column; ++t)
    if (straggler[t] >= 0) ++stragglers.begin[static_cast<std::size_t>(straggler_of(straggler[t])) + 2];
  std::partial_sum(stragglers.begin.begin(), stragglers.begin.end(), stragglers.begin.begin());
  for (std::size_t t = first_column; t < last_column; ++t) {
    if (straggler[t] < 0) continue;
    const auto first = static_cast<std::size_t>(straggler_of(straggler[t]));
    StragglerColumn& column = stragglers.columns[stragglers.begin[first + 1]++];
    column.column = static_cast<std::int32_t>(t);
    column.weight = weights_[t];
    column.ticks = slowest_time_[0][t];
    column.second_ticks = slowest_time_[1][t];
    column.third_ticks = slowest_time_[2][t];
    const std::int32_t second = slowest_device_[1][t];
    column.second = second < 0 ? -1 : straggler_of(second);
    const std::int64_t weight = column.weight;
    stragglers.above_second[first] += weight * (column.ticks - column.second_ticks);
    if (second < 0) continue;  // below it is the floor, or nothing
    stragglers.above_third[first * count + static_cast<std::size_t>(column.second)] +=
        weight * (column.second_ticks - column.third_ticks);
  }
  stragglers.begin.pop_back();
}

std::int64_t Placement::Stragglers::max_saving(std::int32_t first, std::int32_t second) const {
  const auto a = static_cast<std::size_t>(first), b = static_cast<std::size_t>(second);
  const std::size_t count = above_second.size();
  return above_second[a] + above_second[b] + above_third[a * count + b] + above_third[b * count + a];
}

std::int64_t Placement::max_saving(std::int32_t first, std::int32_t second) const {
  return devices_.max_saving(first, second) +
         (share_node(first, second) ? 0 : nodes_.max_saving(node_of(first), node_of(second)));
}

void Placement::columns_of_stragglers(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const {
  out.clear();
  const auto add_columns = [&](const Stragglers& stragglers, std::int32_t straggler) {
    for (const StragglerColumn& column : stragglers.columns_of(straggler)) out.push_back(column.column);
  };
  add_columns(devices_, first);
  add_columns(devices_, second);
  if (share_node(first, second)) return;
  add_columns(nodes_, node_of(first));
  add_columns(nodes_, node_of(second));
}

void Placement::slowest_of_others(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const {
  const std::size_t own = problem_->first_node_column(), columns = problem_->column_count();
  out.resize(columns);
  const auto find = [&](std::int32_t a, std::int32_t b, std::size_t begin, std::size_t end) {
    const SlowestThree<const std::int32_t> slowest{
        {slowest_time_[0].data() + begin, slowest_time_[1].data() + begin, slowest_time_[2].data() + begin},
        {slowest_device_[0].data() + begin, slowest_device_[1].data() + begin}};
    gem::slowest_of_others(out.data() + begin, slowest, a, b, end - begin);
  };
  find(first, second, 0, own);
  if (own < columns) find(neighbours(first).front(), neighbours(second).front(), own, columns);
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
    const auto slot = slot_of(relocation.device, free_slot);
    *slot = relocation.expert;
    if (is_plain())
      fill_slot(relocation.device,
                static_cast<std::size_t>(slot - experts_of_[static_cast<std::size_t>(relocation.device)].begin()));
    add(relocation.device, relocation.expert, 1);
    assignment_[static_cast<std::size_t>(relocation.expert)] = relocation.device;
  }
  // Each device gets an expert, so that each is looked up.
  for (const Relocation& relocation : relocations) look_up_times(relocation.device);
  refresh_slowest();
}

}  // namespace gem
