#include "search/exact_search.hpp"

#include <algorithm>
#include <bit>

#include "search/placement.hpp"
#include "search/step_kernels.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

constexpr std::size_t max_experts = 20;
constexpr double max_table_entries = 1.5e8;  // 600 MB
constexpr double max_parts = 5e7;            // 200 MB

double choose(std::size_t n, std::size_t k) {
  double ways = 1.0;
  for (std::size_t i = 0; i < k; ++i) ways = ways * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return ways;
}

std::vector<std::int32_t> members_of(std::uint32_t bits) {
  std::vector<std::int32_t> members;
  for (; bits != 0; bits &= bits - 1) members.push_back(std::countr_zero(bits));
  return members;
}

}  // namespace

bool ExactSearch::fits(std::size_t expert_count, std::size_t device_count, std::size_t columns) {
  if (expert_count > max_experts || device_count < 2 || expert_count % device_count != 0) return false;
  const std::size_t slots = expert_count / device_count;
  double parts = 0.0, sets = choose(expert_count, slots) * static_cast<double>(device_count);
  for (std::size_t size = slots; size <= expert_count; size += slots) {
    parts += choose(expert_count, size) * choose(size, slots);
    sets += choose(expert_count, size);
  }
  return parts <= max_parts && sets * static_cast<double>(columns) <= max_table_entries;
}

ExactSearch::ExactSearch(std::size_t expert_count, std::size_t device_count)
    : device_count_(device_count), slots_(expert_count / device_count), index_(std::size_t{1} << expert_count, -1) {
  const auto end = static_cast<std::uint32_t>(std::size_t{1} << expert_count);
  for (std::size_t size = slots_; size <= expert_count; size += slots_)
    for (std::uint32_t bits = 1; bits < end; ++bits) {
      if (static_cast<std::size_t>(std::popcount(bits)) != size) continue;
      index_[bits] = static_cast<std::int32_t>(left_.size());
      left_.push_back(bits);
      if (size == slots_) parts_.push_back(bits);
    }
  for (std::uint32_t left : left_) {
    parts_begin_.push_back(parts_of_.size());
    // The parts over the first experts, spread out over the members of `left`; parts_ ascends.
    const std::vector<std::int32_t> members = members_of(left);
    for (std::uint32_t pattern : parts_) {
      if (pattern >> members.size() != 0) break;
      std::uint32_t part = 0;
      for (std::int32_t position : members_of(pattern)) part |= 1u << members[static_cast<std::size_t>(position)];
      parts_of_.push_back(index_[part]);
    }
  }
  parts_begin_.push_back(parts_of_.size());
}

/// One solution under way.
class ExactRun {
 public:
  ExactRun(const ExactSearch& shape, const LayerProblem& problem, const Assignment& incumbent, std::uint64_t max_nodes)
      : shape_(shape), problem_(problem), columns_(problem.column_count()), max_nodes_(max_nodes) {
    result_.assignment = incumbent;
    result_.cost = Placement(problem, incumbent).cost();
    tabulate_times();
    tabulate_bounds();
    slowest_.assign((shape.device_count_ + 1) * columns_, 0);
    chosen_.assign(shape.device_count_, 0);
  }

  ExactResult solve() {
    result_.proven = branch(0, shape_.left_.size() - 1);
    if (result_.proven) result_.lower_bound = result_.cost;
    return result_;
  }

 private:
  const std::int32_t* times(std::size_t device, std::size_t part) const {
    return times_.data() + (device * shape_.parts_.size() + part) * columns_;
  }

  void tabulate_times() {
    times_.resize(shape_.device_count_ * shape_.parts_.size() * columns_);
    std::vector<std::int32_t> load(problem_.key_count()), added(problem_.has_added() ? columns_ : 0);
    for (std::size_t part = 0; part < shape_.parts_.size(); ++part) {
      problem_.empty_load(load.data());
      std::fill(added.begin(), added.end(), 0);
      for (std::int32_t expert : members_of(shape_.parts_[part])) {
        const LoadRow row = problem_.row(expert);
        add_keys(load.data(), row.key, 1, load.size());
        if (row.added != nullptr) add_keys(added.data(), row.added, 1, columns_);
      }
      const LoadRow whole{load.data(), added.empty() ? nullptr : added.data()};
      for (std::size_t d = 0; d < shape_.device_count_; ++d)
        look_up(times_.data() + (d * shape_.parts_.size() + part) * columns_, whole, problem_.tables().of(d).data(),
                columns_, planes_of(problem_.tables(), columns_));
    }
  }

  void tabulate_bounds() {
    std::vector<WaterFilling> from_device;
    for (std::size_t d = 0; d < shape_.device_count_; ++d) from_device.emplace_back(problem_.tables(), DeviceRange{d});
    bounds_.resize(shape_.left_.size() * columns_);
    std::vector<std::int32_t> bounds;
    for (std::size_t left = 0; left < shape_.left_.size(); ++left) {
      const std::vector<std::int32_t> members = members_of(shape_.left_[left]);
      from_device[shape_.device_count_ - members.size() / shape_.slots_].column_bounds(problem_, members, bounds);
      std::copy(bounds.begin(), bounds.end(), bounds_.begin() + static_cast<std::ptrdiff_t>(left * columns_));
    }
  }

  // Gives `device` each part of what is left in turn. False once too many nodes were looked at.
  bool branch(std::size_t device, std::size_t left) {
    const std::int32_t* const before = slowest_.data() + device * columns_;
    std::int32_t* const slowest = slowest_.data() + (device + 1) * columns_;
    for (std::size_t p = shape_.parts_begin_[left]; p < shape_.parts_begin_[left + 1]; ++p) {
      const auto part = static_cast<std::size_t>(shape_.parts_of_[p]);
      chosen_[device] = part;
      if (++result_.nodes > max_nodes_) return false;
      if (device + 1 == shape_.device_count_) {
        accept(merge_slowest(slowest, before, times(device, part), before, columns_));
        continue;
      }
      const auto rest = static_cast<std::size_t>(shape_.index_[shape_.left_[left] ^ shape_.parts_[part]]);
      const std::int32_t* const bound = bounds_.data() + rest * columns_;
      if (merge_slowest(slowest, before, times(device, part), bound, columns_) >= result_.cost) continue;
      if (!branch(device + 1, rest)) return false;
    }
    return true;
  }

  void accept(std::int64_t cost) {
    if (cost >= result_.cost) return;
    result_.cost = cost;
    for (std::size_t d = 0; d < shape_.device_count_; ++d)
      for (std::int32_t expert : members_of(shape_.parts_[chosen_[d]]))
        result_.assignment[static_cast<std::size_t>(expert)] = static_cast<std::int32_t>(d);
  }

  const ExactSearch& shape_;
  const LayerProblem& problem_;
  std::size_t columns_;
  std::uint64_t max_nodes_;
  std::vector<std::int32_t> times_;    // [device, part, column], ticks
  std::vector<std::int32_t> bounds_;   // [left set, column], ticks that the devices left take at least
  std::vector<std::int32_t> slowest_;  // [devices that have a part, column], ticks of the slowest of them
  std::vector<std::size_t> chosen_;    // [device], part
  ExactResult result_;
};

ExactResult ExactSearch::solve(const LayerProblem& problem, const Assignment& incumbent,
                               std::uint64_t max_nodes) const {
  return ExactRun(*this, problem, incumbent, max_nodes).solve();
}

}  // namespace gem
