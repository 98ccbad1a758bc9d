#include "cost/device_loads.hpp"

#include <algorithm>

namespace gem {

DeviceLoad load_of(std::span<const std::uint32_t> tokens, const LoadRule& rule) {
  DeviceLoad load;
  for (const std::uint32_t expert_tokens : tokens) load.add(rule, expert_tokens);
  return load;
}

void sum_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const LoadRule& rule,
               std::span<DeviceLoad> loads) {
  std::ranges::fill(loads, DeviceLoad{});
  for (std::size_t expert = 0; expert < tokens.size(); ++expert) {
    const auto copies = homes.of(expert);
    for (std::size_t copy = 0; copy < copies.size(); ++copy)
      loads[static_cast<std::size_t>(copies[copy])].add(rule, share_of(tokens[expert], copies.size(), copy));
  }
}

Matrix<double> max_rows(const LoadTrace& trace, const std::vector<ExpertHomes>& homes, std::size_t device_count) {
  Matrix<double> rows(trace.step_count(), trace.layer_count());
  std::vector<DeviceLoad> loads(device_count);
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      sum_loads(trace.counts.row(step, layer), homes[layer], {}, loads);
      rows(step, layer) = static_cast<double>(std::ranges::max(loads, {}, &DeviceLoad::tokens).tokens);
    }
  return rows;
}

}  // namespace gem
