#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "search/layer_problem.hpp"
#include "search/step_kernels.hpp"

namespace gem {

/// Two experts on different devices change places.
struct Swap {
  std::int32_t first;
  std::int32_t second;
};

/// An assignment with all that is needed to judge and make changes: loads and times of every device in every step, and
/// the slowest devices of each step.
class Placement {
 public:
  Placement(const LayerProblem& problem, Assignment assignment);

  /// Sum over steps of the slowest device's time, ticks.
  std::int64_t cost() const { return cost_; }
  const Assignment& assignment() const { return assignment_; }
  /// Experts of a device in slot order.
  const std::vector<std::int32_t>& experts_of(std::int32_t device) const {
    return experts_of_[static_cast<std::size_t>(device)];
  }
  const LayerProblem& problem() const { return *problem_; }

  /// False if the swap would bring two copies of an expert together.
  bool may_apply(Swap swap) const;

  /// Change of cost, exact, that the swap would bring.
  std::int64_t evaluate(Swap swap) const;
  void apply(Swap swap);

  /// [padded step], of one device.
  LoadRow load(std::int32_t device) const {
    return {loads_.data() + offset(device), extras_.empty() ? nullptr : extras_.data() + offset(device)};
  }
  const std::int32_t* time(std::int32_t device) const { return times_.data() + offset(device); }
  /// [padded step], ticks of the slowest device and which it is (-1 where nothing is to do).
  const std::vector<std::int32_t>& step_cost() const { return slowest_time_[0]; }
  const std::vector<std::int32_t>& straggler() const { return slowest_device_[0]; }
  /// Ticks of the slowest device other than the two, [padded step].
  void slowest_of_others(std::int32_t first, std::int32_t second, std::vector<std::int32_t>& out) const;

  /// Steps in which a device is the straggler, ascending.
  const std::vector<std::int32_t>& steps_of_straggler(std::int32_t device) const {
    return steps_of_straggler_[static_cast<std::size_t>(device)];
  }
  /// The most that changes on these two devices alone can save: until the slowest of the others decides every step.
  std::int64_t promise(std::int32_t first, std::int32_t second) const;

 private:
  std::size_t offset(std::int32_t device) const { return static_cast<std::size_t>(device) * problem_->padded_steps(); }
  const std::int32_t* table(std::int32_t device) const {
    return problem_->tables().of(static_cast<std::size_t>(device)).data();
  }
  // Whether `device` holds another copy of the expert that `copy` is one of.
  bool holds_another(std::int32_t device, std::int32_t copy) const;
  void add(std::int32_t device, std::int32_t expert, std::int32_t sign);
  void refresh_slowest();

  const LayerProblem* problem_;
  Assignment assignment_;
  std::vector<std::vector<std::int32_t>> experts_of_;
  std::vector<std::int32_t> loads_;   // [device, padded step], keys
  std::vector<std::int32_t> extras_;  // [device, padded step], ticks that the experts add; empty where none does
  std::vector<std::int32_t> times_;   // [device, padded step], ticks
  std::vector<std::int32_t> slowest_time_[3];
  std::vector<std::int32_t> slowest_device_[2];
  std::vector<std::vector<std::int32_t>> steps_of_straggler_;
  std::vector<std::int64_t> alone_;     // [device], saved if a straggler were only as slow as the second
  std::vector<std::int64_t> together_;  // [device, device], further saved if the second went down to the third
  std::int64_t cost_ = 0;
};

}  // namespace gem
