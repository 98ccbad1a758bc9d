#include "adaptation/speed_estimate.hpp"

#include <algorithm>

#include "base/statistics.hpp"

namespace gem {
namespace {

// A change of 28 % is as sure after 3 steps as it will ever be, and each step with it is lost. Fewer might be one
// disturbance.
constexpr std::size_t fewest_steps = 3;

}  // namespace

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

std::size_t SpeedEstimate::telling_steps(std::size_t device, double used, double least) const {
  const std::deque<double>& ratios = ratios_[device];
  if (ratios.size() < steps_) return 0;
  for (std::size_t count = steps_; count >= std::min(steps_, fewest_steps); --count) {
    const double change = least * static_cast<double>(steps_) / static_cast<double>(count);
    const auto [low, high] = std::minmax_element(ratios.end() - static_cast<std::ptrdiff_t>(count), ratios.end());
    if (*low > used * (1.0 + change) || *high < used * (1.0 - change)) return count;
  }
  return 0;
}

std::vector<double> SpeedEstimate::slowdowns(const std::vector<double>& used) const {
  std::vector<double> slowdowns;
  for (std::size_t device = 0; device < ratios_.size(); ++device) {
    const std::deque<double>& ratios = ratios_[device];
    const std::size_t telling = telling_steps(device, used[device], least_change),
                      count = telling > 0 ? telling : ratios.size();
    slowdowns.push_back(
        ratios.empty() ? 1.0
                       : median(std::vector<double>(ratios.end() - static_cast<std::ptrdiff_t>(count), ratios.end())));
  }
  return slowdowns;
}

bool SpeedEstimate::differs_from(const std::vector<double>& used, double least) const {
  for (std::size_t device = 0; device < ratios_.size(); ++device)
    if (telling_steps(device, used[device], least) > 0) return true;
  return false;
}

}  // namespace gem
