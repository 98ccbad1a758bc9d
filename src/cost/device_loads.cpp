#include "cost/device_loads.hpp"

#include <algorithm>

namespace gem {
namespace {

template <class RuleOf>
void add_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const RuleOf& rule_of_device,
               std::span<DeviceLoad> loads) {
  std::ranges::fill(loads, DeviceLoad{});
  for (std::size_t expert = 0; expert < tokens.size(); ++expert) {
    const auto copies = homes.of(expert);
    for (std::size_t copy = 0; copy < copies.size(); ++copy) {
      const auto device = static_cast<std::size_t>(copies[copy]);
      loads[device].add(rule_of_device(device), homes.share(expert, copy, tokens[expert]));
    }
  }
}

}  // namespace

DeviceLoad load_of(std::span<const std::uint32_t> tokens, const LoadRule& rule) {
  DeviceLoad load;
  for (const std::uint32_t expert_tokens : tokens) load.add(rule, expert_tokens);
  return load;
}

DeviceLoad load_of(std::span<const std::uint32_t> tokens, const LoadRules& rules) {
  return load_of(tokens, rules.of(rules.regime_of(static_cast<std::int64_t>(row_count(tokens)))));
}

void sum_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const LoadRule& rule,
               std::span<DeviceLoad> loads) {
  add_loads(
      tokens, homes, [&](std::size_t) -> const LoadRule& { return rule; }, loads);
}

void sum_loads(std::span<const std::uint32_t> tokens, const ExpertHomes& homes, const LoadRules& rules,
               std::span<DeviceLoad> loads) {
  if (rules.count() == 1) return sum_loads(tokens, homes, rules.of(0), loads);
  sum_loads(tokens, homes, LoadRule{}, loads);
  std::vector<std::size_t> regimes;  // [device]
  for (const DeviceLoad& load : loads) regimes.push_back(rules.regime_of(load.tokens));
  add_loads(
      tokens, homes, [&](std::size_t d) -> const LoadRule& { return rules.of(regimes[d]); }, loads);
}

Matrix<double> max_rows(const LoadTrace& trace, const std::vector<ExpertHomes>& homes, std::size_t device_count) {
  return max_rows(
      trace, [&](std::size_t, std::size_t layer) -> const ExpertHomes& { return homes[layer]; }, device_count);
}

Matrix<double> max_rows(const LoadTrace& trace, const HomesAt& homes_at, std::size_t device_count) {
  Matrix<double> rows(trace.step_count(), trace.layer_count());
  std::vector<DeviceLoad> loads(device_count);
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      sum_loads(trace.counts.row(step, layer), homes_at(step, layer), LoadRule{}, loads);
      rows(step, layer) = static_cast<double>(std::ranges::max(loads, {}, &DeviceLoad::tokens).tokens);
    }
  return rows;
}

}  // namespace gem
