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
  /// Keeps the last `steps` steps.
  SpeedEstimate(std::size_t device_count, std::size_t steps);

  /// [layer, device] seconds of one step. Layers without work on a device say nothing of it.
  void add(const Matrix<double>& measured_s, const Matrix<double>& predicted_s);

  /// [device], 1 where nothing is known yet.
  std::vector<double> slowdowns() const;

  /// Whether a device's slowdown is another than `used` beyond doubt: by `least` or more, and with the whole interval
  /// of the median.
  bool differs_from(const std::vector<double>& used, double least = 0.01) const;

 private:
  std::size_t steps_;
  std::vector<std::deque<double>> ratios_;  // [device], the last steps' medians
};

}  // namespace gem
