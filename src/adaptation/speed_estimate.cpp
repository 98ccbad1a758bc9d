#include "adaptation/speed_estimate.hpp"

#include <cmath>

#include "base/statistics.hpp"

namespace gem {

SpeedEstimate::SpeedEstimate(std::size_t device_count, std::size_t steps) : steps_(steps), ratios_(device_count) {}

void SpeedEstimate::add(const Matrix<double>& measured_s, const Matrix<double>& predicted_s) {
  std::vector<double> ratios;
  for (std::size_t device = 0; device < ratios_.size(); ++device) {
    ratios.clear();
    for (std::size_t layer = 0; layer < measured_s.rows(); ++layer)
      if (predicted_s(layer, device) > 0.0) ratios.push_back(measured_s(layer, device) / predicted_s(layer, device));
    if (ratios.empty()) continue;
    ratios_[device].push_back(median(ratios));
    if (ratios_[device].size() > steps_) ratios_[device].pop_front();
  }
}

std::vector<double> SpeedEstimate::slowdowns() const {
  std::vector<double> slowdowns;
  for (const std::deque<double>& ratios : ratios_)
    slowdowns.push_back(ratios.empty() ? 1.0 : median(std::vector<double>(ratios.begin(), ratios.end())));
  return slowdowns;
}

bool SpeedEstimate::differs_from(const std::vector<double>& used, double least) const {
  for (std::size_t device = 0; device < ratios_.size(); ++device) {
    if (ratios_[device].size() < steps_) continue;
    const std::vector<double> ratios(ratios_[device].begin(), ratios_[device].end());
    const Interval interval = median_interval(ratios);
    if (interval.low > used[device] * (1.0 + least) || interval.high < used[device] * (1.0 - least)) return true;
  }
  return false;
}

}  // namespace gem
