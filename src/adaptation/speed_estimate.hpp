#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "base/array.hpp"

namespace gem {

/// How much longer each device takes now than its profile says, from the times of layers that were run anyway: of each
/// step the median over layers of measured / predicted, of the last steps their median.
class SpeedEstimate {
 public:
  /// Keeps the last `steps` steps, 3 at the least.
  SpeedEstimate(std::size_t device_count, std::size_t steps);

  /// [layer, device] seconds of one step. Layers without work on a device say nothing of it.
  void add(const Matrix<double>& measured_s, const Matrix<double>& predicted_s);

  /// [device], the median of the steps that tell another slowdown than `used`, else of all that are kept; 1 where
  /// nothing is known yet.
  std::vector<double> slowdowns(const std::vector<double>& used) const;

  /// Whether a device's slowdown is another than `used` beyond doubt: in each of the last steps, by `least` or more
  /// in all that are kept, or by so much more in as many fewer of them, down to 3.
  bool differs_from(const std::vector<double>& used, double least = least_change) const;

 private:
  static constexpr double least_change = 0.01;
  // How many of the last steps tell that; 0: they don't.
  std::size_t telling_steps(std::size_t device, double used, double least) const;

  std::size_t steps_;
  std::vector<std::deque<double>> ratios_;  // [device], the last steps' medians
};

}  // namespace gem
