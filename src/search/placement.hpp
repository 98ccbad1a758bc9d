#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "search/layer_problem.hpp"
#include "search/step_kernels.hpp"

namespace gem {

/// An expert goes to a device.
struct Relocation {
  std::int32_t expert;
  std::int32_t device;
};

/// A column, and what its straggler costs beyond the others.
struct StragglerColumn {
  std::int32_t column;
  std::int32_t weight;  ///< of the column
  std::int32_t ticks;   ///< of the straggler
  std::int32_t second_ticks, third_ticks;
  std::int32_t second;  ///< the second slowest device; -1: the floor
  /// Of the slowest but for the straggler and another device.
  std::int32_t ticks_without(std::int32_t other) const { return other == second ? third_ticks : second_ticks; }
};

/// An assignment with all that is needed to judge and make changes: loads and times of every device in every column,
/// and the slowest devices of each column. In the columns whose maximum is over nodes (LayerCost::first_node_column)
/// each device has the load of its whole node, and the node's first device its time.
class Placement {
 public:
  /// `weights` [column], how often each counts, 0 or more (MergedSteps); empty: once.
  Placement(const LayerProblem& problem, Assignment assignment, std::vector<std::int32_t> weights = {});

  /// Weighted sum over columns of the slowest device's time, ticks, and the moves' price where they are counted.
  std::int64_t cost() const { return cost_ + static_cast<std::int64_t>(moves_) * problem_->move_limit().move_ticks; }
  /// Experts that are where they aren't at present (LayerProblem::set_present); 0 where moves aren't counted.
  std::size_t moves() const { return moves_; }
  const Assignment& assignment() const { return assignment_; }
  std::int32_t device_of(std::int32_t expert) const { return assignment_[static_cast<std::size_t>(expert)]; }
  /// Experts of a device in slot order.
  const std::vector<std::int32_t>& experts_of(std::int32_t device) const {
    return experts_of_[static_cast<std::size_t>(device)];
  }
  const LayerProblem& problem() const { return *problem_; }
  /// [column], how often it counts in the cost.
  const std::vector<std::int32_t>& weights() const { return weights_; }

  /// False if the device holds another copy of the expert.
  bool may_hold(std::int32_t device, std::int32_t expert) const {
    return !problem_->has_copies() || !holds_another(device, expert);
  }
  /// Whether so many moves more, or fewer, are within the problem's limit; fewer always are.
  bool may_move(std::int32_t further) const {
    return further <= 0 || moves_ + static_cast<std::size_t>(further) <= problem_->move_limit().max_moves;
  }
  /// Makes a change: each of its devices loses as many experts as it gets, which take the slots that become free.
  void apply(std::span<const Relocation> relocations);

  /// Of one device, keys [plane, column].
  LoadRow load(std::int32_t device) const {
    return {loads_.data() + key_offset(device), added_.empty() ? nullptr : added_.data() + offset(device)};
  }
  /// Whether loads have one plane, nothing is added, and no column is a node's.
  bool is_plain() const { return !slot_keys_.empty(); }
  /// Of a plain placement: keys of a device's experts in one column, [slot, padded to slot_stride()] with keys that
  /// are there.
  const std::int32_t* slot_keys(std::int32_t device, std::size_t column) const {
    return slot_keys_.data() + (offset(device) + column) * slot_stride_;
  }
  std::size_t slot_stride() const { return slot_stride_; }
  const std::int32_t* time(std::int32_t device) const { return times_.data() + offset(device); }
  /// Ticks by key.
  const std::int32_t* table(std::int32_t device) const {
    return problem_->tables().of(static_cast<std::size_t>(device)).data();
  }
  /// What swaps of two devices' experts are judged from in all columns; `floor` [column] is not copied.
  SwapSteps swap_steps(std::int32_t first, std::int32_t second, const std::vector<std::int32_t>& floor) const {
    return {load(first),
            load(second),
            floor.data(),
            weights_.data(),
            table(first),
            table(second),
            planes_of(problem_->tables(), problem_->column_count()),
            is_plain() && !weights_differ_};
  }
  /// [column], ticks of the slowest device and which it is (-1 where nothing is to do).
  const std::vector<std::int32_t>& column_cost() const { return slowest_time_[0]; }
  const std::vector<std::int32_t>& straggler() const { return slowest_device_[0]; }
  /// Ticks of the slowest device other than the two, [column].
  void slowest_of_others(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const;

  /// Columns in which one of two devices, or the node of one of them, is the straggler; not those of one node that both
  /// are on, where nothing changes between the two.
  void columns_of_stragglers(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const;
  /// Whether the device, or its node, is the straggler of any column.
  bool is_straggler(std::int32_t device) const {
    return !devices_.columns_of(device).empty() ||
           (!devices_of_node_.empty() && !nodes_.columns_of(node_of(device)).empty());
  }
  /// Whether changes between the two leave the columns of nodes as they are.
  bool share_node(std::int32_t first, std::int32_t second) const { return node_of(first) == node_of(second); }
  /// Columns whose straggler is the device; none that is a node's.
  std::span<const StragglerColumn> columns_of(std::int32_t device) const { return devices_.columns_of(device); }
  /// What changes on these two devices alone can save at most: until the slowest of the others decides every column.
  std::int64_t max_saving(std::int32_t first, std::int32_t second) const;

 private:
  std::size_t offset(std::int32_t device) const { return static_cast<std::size_t>(device) * problem_->column_count(); }
  std::size_t key_offset(std::int32_t device) const { return static_cast<std::size_t>(device) * problem_->key_count(); }
  // Whether `device` holds another copy of the expert that `copy` is one of.
  bool holds_another(std::int32_t device, std::int32_t copy) const;
  // 0 where no column is a node's.
  std::int32_t node_of(std::int32_t device) const {
    const std::vector<std::int32_t>& nodes = problem_->tables().node_of();
    return nodes.empty() ? 0 : nodes[static_cast<std::size_t>(device)];
  }
  // Devices of a device's node, the first first.
  const std::vector<std::int32_t>& neighbours(std::int32_t device) const {
    return devices_of_node_[static_cast<std::size_t>(node_of(device))];
  }
  void add(std::int32_t device, std::int32_t expert, std::int32_t sign);
  // Notes the keys of what a slot of a device holds now; of its last one, where there is nothing behind it, too.
  void fill_slot(std::int32_t device, std::size_t slot);
  void look_up_times(std::int32_t device);
  void refresh_slowest();

  const LayerProblem* problem_;
  Assignment assignment_;
  std::vector<std::int32_t> weights_;
  bool weights_differ_;  // false: each is 1
  std::vector<std::vector<std::int32_t>> experts_of_;
  std::vector<std::int32_t> loads_;      // [device, plane, column], keys
  std::vector<std::int32_t> added_;      // [device, column], ticks that the experts add; empty where none does
  std::vector<std::int32_t> times_;      // [device, column], ticks
  std::vector<std::int32_t> slot_keys_;  // [device, column, slot]; empty unless is_plain()
  std::size_t slot_stride_ = 0;
  std::vector<std::int32_t> slowest_time_[3];
  std::vector<std::int32_t> slowest_device_[2];
  // What the stragglers of some columns, devices or nodes, cost beyond the others.
  struct Stragglers {
    std::vector<StragglerColumn> columns;    // straggler by straggler, ascending
    std::vector<std::size_t> begin;          // [straggler], and one beyond: where its columns begin
    std::vector<std::int64_t> above_second;  // [straggler], saved if it were only as slow as the second
    std::vector<std::int64_t>
        above_third;  // [straggler, straggler], further saved if the second went down to the third
    std::span<const StragglerColumn> columns_of(std::int32_t straggler) const {
      const auto at = static_cast<std::size_t>(straggler);
      return std::span(columns).subspan(begin[at], begin[at + 1] - begin[at]);
    }
    std::int64_t max_saving(std::int32_t first, std::int32_t second) const;
  };
  // Notes the stragglers of some columns, `straggler_of` each device, of `count`.
  template <class StragglerOf>
  void note(Stragglers& stragglers, std::size_t count, std::size_t first_column, std::size_t last_column,
            const StragglerOf& straggler_of) const;
  std::vector<std::vector<std::int32_t>> devices_of_node_;  // empty where no column is a node's
  Stragglers devices_, nodes_;
  std::int64_t cost_ = 0;  // without moves
  std::size_t moves_ = 0;
};

}  // namespace gem
