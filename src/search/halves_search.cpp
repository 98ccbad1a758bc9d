#include "search/halves_search.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <numeric>

#include "search/merged_steps.hpp"
#include "search/placement.hpp"
#include "search/step_kernels.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

constexpr std::size_t max_experts = 24;
constexpr double max_table_entries = 1.5e8;  // 600 MB
constexpr double max_sets = 3e6;             // of the first half
constexpr double max_ways = 4e4;             // to split a half
constexpr double max_splits = 1e10;

double choose(std::size_t n, std::size_t k) {
  double ways = 1.0;
  for (std::size_t i = 0; i < k; ++i) ways = ways * static_cast<double>(n - i) / static_cast<double>(i + 1);
  return ways;
}

// Ways to give each of so many devices its experts.
double ways_to_split(std::size_t devices, std::size_t slots) {
  double ways = 1.0;
  for (std::size_t d = 2; d <= devices; ++d) ways *= choose(d * slots, slots);
  return ways;
}

// Positions of the set bits.
struct Members {
  explicit Members(std::uint32_t bits) {
    for (; bits != 0; bits &= bits - 1) at[count++] = std::countr_zero(bits);
  }
  std::array<std::int32_t, 32> at;
  std::size_t count = 0;
};

// The next set of as many members, by value.
std::uint32_t next_set(std::uint32_t bits) {
  const std::uint32_t low = bits & (~bits + 1), carried = bits + low;
  return carried | (((bits ^ carried) / low) >> 2);
}

}  // namespace

bool HalvesSearch::fits(std::size_t expert_count, std::size_t device_count, std::size_t columns) {
  if (expert_count > max_experts || device_count < 2 || expert_count % device_count != 0) return false;
  const std::size_t slots = expert_count / device_count, first = device_count / 2;
  const double sets = choose(expert_count, first * slots), ways_first = ways_to_split(first, slots),
               ways_second = ways_to_split(device_count - first, slots);
  const double entries = choose(expert_count, slots) * static_cast<double>(device_count * columns);
  return sets <= max_sets && ways_second <= max_ways && sets * (ways_first + ways_second) <= max_splits &&
         entries <= max_table_entries;
}

HalvesSearch::HalvesSearch(std::size_t expert_count, std::size_t device_count)
    : expert_count_(expert_count),
      device_count_(device_count),
      slots_(expert_count / device_count),
      index_(std::size_t{1} << expert_count, -1) {
  for (std::uint32_t bits = (1u << slots_) - 1; bits < 1u << expert_count; bits = next_set(bits)) {
    index_[bits] = static_cast<std::int32_t>(parts_.size());
    parts_.push_back(bits);
  }
}

/// One solution under way. Columns are those of each step once, times weighted by how often the step is there.
class HalvesRun {
 public:
  HalvesRun(const HalvesSearch& shape, const LayerProblem& problem, const Assignment& incumbent,
            std::uint64_t max_nodes, const std::function<bool()>& stop_now)
      : shape_(shape),
        stop_now_(stop_now),
        merged_(merge_equal_steps(problem)),
        columns_(merged_.problem.column_count()),
        first_(shape.device_count_ / 2),
        max_nodes_(max_nodes / std::max<std::size_t>(1, columns_ / padded(1))),
        fillings_{WaterFilling(problem.tables(), {0, first_}), WaterFilling(problem.tables(), {first_})} {
    result_.assignment = incumbent;
    result_.cost = Placement(problem, incumbent).cost();
    rows_.resize((shape.device_count_ + 1) * columns_);
    parts_.resize(shape.device_count_);
    note_equal_devices();
    tabulate_times();
  }

  ExactResult solve() {
    if (!list_sets()) return result_;
    for (const Half& half : halves_) {
      if (!are_times_in_range_) return result_;
      if (half.bound >= result_.cost) break;
      if (result_.nodes > max_nodes_ || stop()) {
        result_.lower_bound = half.bound;
        return result_;
      }
      split(half.bits);
    }
    if (!are_times_in_range_) return result_;
    result_.proven = true;
    result_.lower_bound = result_.cost;
    return result_;
  }

 private:
  // A set of experts for the first devices.
  struct Half {
    std::int64_t bound;
    std::uint32_t bits;
  };
  // Ways to split a half's experts over its devices.
  struct Ways {
    std::vector<std::int32_t> times;   // [way, column], of the slowest device
    std::vector<std::uint32_t> parts;  // [way, device of the half], as bits
    std::size_t count = 0;
  };

  void note_equal_devices() {
    const CostTables& tables = merged_.problem.tables();
    const auto are_equal = [&](std::size_t a, std::size_t b) { return std::ranges::equal(tables.of(a), tables.of(b)); };
    is_like_last_.assign(shape_.device_count_, false);
    for (std::size_t d = 1; d < shape_.device_count_; ++d) is_like_last_[d] = d != first_ && are_equal(d - 1, d);
    are_halves_equal_ = shape_.device_count_ == 2 * first_;
    for (std::size_t d = 0; are_halves_equal_ && d < first_; ++d) are_halves_equal_ = are_equal(d, first_ + d);
  }

  const std::int32_t* times(std::size_t device, std::uint32_t part) const {
    return times_.data() + (device * shape_.parts_.size() + static_cast<std::size_t>(shape_.index_[part])) * columns_;
  }

  void tabulate_times() {
    const LayerProblem& problem = merged_.problem;
    times_.resize(shape_.device_count_ * shape_.parts_.size() * columns_);
    std::vector<std::int32_t> load(problem.key_count()), added(problem.has_added() ? columns_ : 0);
    auto* to = times_.data();
    for (std::size_t d = 0; d < shape_.device_count_; ++d)
      for (const std::uint32_t part : shape_.parts_) {
        problem.empty_load(load.data());
        std::ranges::fill(added, 0);
        const Members members(part);
        for (std::size_t i = 0; i < members.count; ++i) {
          const LoadRow row = problem.row(members.at[i]);
          add_keys(load.data(), row.key, 1, load.size());
          if (row.added != nullptr) add_keys(added.data(), row.added, 1, columns_);
        }
        look_up(to, {load.data(), added.empty() ? nullptr : added.data()}, problem.tables().of(d).data(), columns_,
                planes_of(problem.tables(), columns_));
        for (std::size_t t = 0; t < columns_; ++t) to[t] = weighted(to[t], t);
        to += columns_;
      }
  }

  std::int32_t weighted(std::int32_t ticks, std::size_t column) {
    const std::int64_t product = std::int64_t{ticks} * merged_.weights[column];
    if (product > INT32_MAX) are_times_in_range_ = false;
    return static_cast<std::int32_t>(product);
  }

  // Least time of each column, with a set of experts on the devices of a half.
  void fill_half(std::size_t half, std::uint32_t bits, std::vector<std::int32_t>& bounds) {
    const Members members(bits);
    fillings_[half].column_bounds(merged_.problem, std::span(members.at.data(), members.count), bounds);
    for (std::size_t t = 0; t < columns_; ++t) bounds[t] = weighted(bounds[t], t);
  }

  std::uint32_t rest_of(std::uint32_t bits) const { return ((std::uint32_t{1} << shape_.expert_count_) - 1) ^ bits; }

  bool stop() {
    constexpr std::uint64_t between_questions = 64;
    return stop_now_ && sets_looked_at_++ % between_questions == 0 && stop_now_();
  }

  // Those that are bounded below the cost, the least bound first; false if it was stopped.
  bool list_sets() {
    const std::size_t size = first_ * shape_.slots_;
    std::vector<std::int32_t> merged(columns_);
    for (std::uint32_t bits = (std::uint32_t{1} << size) - 1; bits < std::uint32_t{1} << shape_.expert_count_;
         bits = next_set(bits)) {
      if (are_halves_equal_ && (bits & 1) == 0) continue;
      if (stop()) return false;
      ++result_.nodes;
      fill_half(0, bits, floors_[0]);
      fill_half(1, rest_of(bits), floors_[1]);
      const std::int64_t bound =
          merge_slowest(merged.data(), floors_[0].data(), floors_[1].data(), floors_[0].data(), columns_);
      if (bound < result_.cost) halves_.push_back({bound, bits});
    }
    std::ranges::sort(
        halves_, [](const Half& a, const Half& b) { return a.bound != b.bound ? a.bound < b.bound : a.bits < b.bits; });
    return true;
  }

  void split(std::uint32_t bits) {
    fill_half(0, bits, floors_[0]);
    fill_half(1, rest_of(bits), floors_[1]);
    for (std::size_t half = 0; half < 2; ++half) {
      ways_[half].times.clear();
      ways_[half].parts.clear();
      ways_[half].count = 0;
      const std::size_t device = half == 0 ? 0 : first_;
      std::fill_n(rows_.begin() + static_cast<std::ptrdiff_t>(device * columns_), columns_, 0);
      const std::vector<std::int32_t>& other = floors_[1 - half];
      list_ways(half, device, half == 0 ? bits : rest_of(bits),
                result_.cost - std::accumulate(other.begin(), other.end(), std::int64_t{0}));
      if (!raise_floor(half)) return;
    }
    for (std::size_t half = 0;; half = 1 - half) {
      const std::size_t count = ways_[half].count;
      drop_ways(half);
      if (!raise_floor(half)) return;
      if (ways_[half].count == count) break;
    }
    sum_pairs();
  }

  // Adds what is less than `limit` above the other half's floor. Row `device` of rows_ has the slowest of the half's
  // devices before it.
  void list_ways(std::size_t half, std::size_t device, std::uint32_t left, std::int64_t limit) {
    const std::int32_t* const before = rows_.data() + device * columns_;
    std::int32_t* const slowest = rows_.data() + (device + 1) * columns_;
    const std::vector<std::int32_t>& floor = floors_[1 - half];
    const std::size_t begin = half == 0 ? 0 : first_, end = half == 0 ? first_ : shape_.device_count_;
    const auto try_part = [&](std::uint32_t part) {
      if (is_like_last_[device] && device > begin && std::countr_zero(part) < std::countr_zero(parts_[device - 1]))
        return;
      ++result_.nodes;
      if (merge_above(slowest, before, times(device, part), floor.data(), columns_, limit) >= limit) return;
      parts_[device] = part;
      if (device + 1 < end) {
        list_ways(half, device + 1, left ^ part, limit);
        return;
      }
      Ways& ways = ways_[half];
      ways.times.insert(ways.times.end(), slowest, slowest + columns_);
      ways.parts.insert(ways.parts.end(), parts_.begin() + static_cast<std::ptrdiff_t>(begin),
                        parts_.begin() + static_cast<std::ptrdiff_t>(end));
      ++ways.count;
    };
    if (device + 1 == end) {
      try_part(left);
      return;
    }
    // Parts of the first experts, spread out over the members of `left`.
    const Members members(left);
    for (const std::uint32_t pattern : shape_.parts_) {
      if (pattern >> members.count != 0) break;
      std::uint32_t part = 0;
      for (std::uint32_t bits = pattern; bits != 0; bits &= bits - 1)
        part |= 1u << members.at[static_cast<std::size_t>(std::countr_zero(bits))];
      try_part(part);
    }
  }

  // The floor of a half is what each of its ways takes at least. False if there is none.
  bool raise_floor(std::size_t half) {
    const Ways& ways = ways_[half];
    if (ways.count == 0) return false;
    std::vector<std::int32_t> least(ways.times.begin(), ways.times.begin() + static_cast<std::ptrdiff_t>(columns_));
    for (std::size_t way = 1; way < ways.count; ++way)
      for (std::size_t t = 0; t < columns_; ++t) least[t] = std::min(least[t], ways.times[way * columns_ + t]);
    for (std::size_t t = 0; t < columns_; ++t) floors_[half][t] = std::max(floors_[half][t], least[t]);
    return true;
  }

  // Ways that cost too much with the other half's floor.
  void drop_ways(std::size_t half) {
    Ways& ways = ways_[half];
    const std::size_t devices = ways.parts.size() / ways.count;
    std::size_t kept = 0;
    std::vector<std::int32_t> row(columns_);
    for (std::size_t way = 0; way < ways.count; ++way) {
      const std::int32_t* const times = ways.times.data() + way * columns_;
      ++result_.nodes;
      if (merge_slowest(row.data(), times, times, floors_[1 - half].data(), columns_) >= result_.cost) continue;
      std::copy_n(times, columns_, ways.times.data() + kept * columns_);
      std::copy_n(ways.parts.data() + way * devices, devices, ways.parts.data() + kept * devices);
      ++kept;
    }
    ways.count = kept;
    ways.times.resize(kept * columns_);
    ways.parts.resize(kept * devices);
  }

  // Each way of the first half with each of the second, as ticks above both floors.
  void sum_pairs() {
    std::int64_t base = 0;
    std::vector<std::int32_t> floor(columns_);
    for (std::size_t t = 0; t < columns_; ++t) {
      floor[t] = std::max(floors_[0][t], floors_[1][t]);
      base += floor[t];
    }
    if (base >= result_.cost) return;
    if (result_.cost - base > most_of_merged) {
      are_times_in_range_ = false;
      return;
    }
    const auto excess = [&](const std::vector<std::int32_t>& times, std::size_t way, std::size_t t,
                            std::int32_t limit) {
      return std::min(std::max(times[way * columns_ + t] - floor[t], 0), limit);
    };
    auto limit = static_cast<std::int32_t>(result_.cost - base);
    const std::size_t stride = padded(ways_[1].count);
    std::vector<std::int32_t> second(columns_ * stride, limit), first(columns_), sums(stride);
    for (std::size_t way = 0; way < ways_[1].count; ++way)
      for (std::size_t t = 0; t < columns_; ++t) second[t * stride + way] = excess(ways_[1].times, way, t, limit);
    for (std::size_t way = 0; way < ways_[0].count; ++way) {
      for (std::size_t t = 0; t < columns_; ++t) first[t] = excess(ways_[0].times, way, t, limit);
      result_.nodes += stride / padded(1);
      if (sum_merged(sums.data(), first.data(), second.data(), columns_, stride, limit) == 0) continue;
      const auto best = std::ranges::min_element(sums) - sums.begin();
      limit = sums[static_cast<std::size_t>(best)];
      accept(base + limit, way, static_cast<std::size_t>(best));
    }
  }

  void accept(std::int64_t cost, std::size_t way_first, std::size_t way_second) {
    result_.cost = cost;
    for (std::size_t d = 0; d < shape_.device_count_; ++d) {
      const std::size_t half = d < first_ ? 0 : 1, way = half == 0 ? way_first : way_second;
      const std::size_t begin = half == 0 ? 0 : first_, devices = half == 0 ? first_ : shape_.device_count_ - first_;
      const Members members(ways_[half].parts[way * devices + d - begin]);
      for (std::size_t i = 0; i < members.count; ++i)
        result_.assignment[static_cast<std::size_t>(members.at[i])] = static_cast<std::int32_t>(d);
    }
  }

  const HalvesSearch& shape_;
  const std::function<bool()>& stop_now_;
  std::uint64_t sets_looked_at_ = 0;
  MergedSteps merged_;
  std::size_t columns_;
  std::size_t first_;  // devices of the first half
  std::uint64_t max_nodes_;
  std::array<WaterFilling, 2> fillings_;
  bool are_times_in_range_ = true;
  bool are_halves_equal_ = false;    // device by device
  std::vector<bool> is_like_last_;   // [device], has the latency of the one before, in the same half
  std::vector<std::int32_t> times_;  // [device, part, column], ticks
  std::vector<Half> halves_;
  std::array<std::vector<std::int32_t>, 2> floors_;  // [half][column], ticks that it takes at least
  std::array<Ways, 2> ways_;
  std::vector<std::int32_t> rows_;    // [device, column]
  std::vector<std::uint32_t> parts_;  // [device], of the way under way
  ExactResult result_;
};

ExactResult HalvesSearch::solve(const LayerProblem& problem, const Assignment& incumbent, std::uint64_t max_nodes,
                                const std::function<bool()>& stop_now) const {
  return HalvesRun(*this, problem, incumbent, max_nodes, stop_now).solve();
}

}  // namespace gem
