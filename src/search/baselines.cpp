#include "search/baselines.hpp"

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/statistics.hpp"
#include "base/text.hpp"
#include "model/mapping.hpp"

namespace gem {

const std::vector<Method>& all_methods() {
  static const std::vector<Method> methods{Method::Linear,     Method::RoundRobin, Method::Eplb,
                                           Method::SpeedAware, Method::Paper,      Method::Gem};
  return methods;
}

std::string method_name(Method method) {
  switch (method) {
    case Method::Linear:
      return "linear";
    case Method::RoundRobin:
      return "round-robin";
    case Method::Eplb:
      return "eplb";
    case Method::SpeedAware:
      return "speed-aware";
    case Method::Paper:
      return "paper";
    case Method::Gem:
      return "gem";
  }
  return "";
}

Method parse_method(std::string_view name) {
  std::vector<std::string> names;
  for (Method method : all_methods()) {
    if (method_name(method) == name) return method;
    names.push_back(method_name(method));
  }
  throw UsageError("unknown method '" + std::string(name) + "'; there are " + join(names));
}

bool is_baseline(Method method) {
  return method != Method::Paper && method != Method::Gem;
}

bool packs_loads(Method method) {
  return method == Method::Eplb || method == Method::SpeedAware;
}

std::vector<double> mean_loads(const LoadTrace& trace, std::size_t layer) {
  std::vector<double> loads(trace.expert_count(), 0.0);
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    for (std::size_t e = 0; e < loads.size(); ++e) loads[e] += trace.counts(t, layer, e);
  for (double& load : loads) load /= static_cast<double>(trace.step_count());
  return loads;
}

std::vector<double> relative_speeds(const DeviceLatencies& latencies, const LoadTrace& trace, std::size_t layer) {
  double tiles = 0.0, active = 0.0, tokens = 0.0;
  for (std::size_t t = 0; t < trace.step_count(); ++t)
    for (std::uint32_t count : trace.counts.row(t, layer)) {
      tiles += tiles_of(count, latencies.rule().tile_tokens);
      active += count > 0 ? 1.0 : 0.0;
      tokens += count;
    }
  const double shares = static_cast<double>(trace.step_count() * latencies.device_count());
  std::vector<double> speeds;
  for (std::size_t d = 0; d < latencies.device_count(); ++d) {
    const double latency = latencies.seconds(d, tiles / shares, active / shares, tokens / shares);
    speeds.push_back(latency > 0.0 ? 1.0 / latency : 1.0);
  }
  const double mean_speed = mean(speeds);
  for (double& speed : speeds) speed /= mean_speed;
  return speeds;
}

Assignment pack_greedily(std::span<const double> loads, std::span<const double> speeds) {
  check_divisible(loads.size(), speeds.size());
  const std::size_t slots = loads.size() / speeds.size();
  std::vector<std::size_t> order(loads.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return loads[a] > loads[b]; });
  std::vector<double> packed(speeds.size(), 0.0);
  std::vector<std::size_t> held(speeds.size(), 0);
  Assignment assignment(loads.size());
  for (std::size_t expert : order) {
    std::size_t best = speeds.size();
    for (std::size_t d = 0; d < speeds.size(); ++d) {
      if (held[d] == slots) continue;
      if (best == speeds.size() ||
          (packed[d] + loads[expert]) / speeds[d] < (packed[best] + loads[expert]) / speeds[best])
        best = d;
    }
    packed[best] += loads[expert];
    ++held[best];
    assignment[expert] = static_cast<std::int32_t>(best);
  }
  return assignment;
}

Assignment baseline_assignment(Method method, const DeviceLatencies& latencies, const LoadTrace& trace,
                               std::size_t layer) {
  const std::size_t experts = trace.expert_count(), devices = latencies.device_count();
  check_divisible(experts, devices);
  Assignment assignment(experts);
  switch (method) {
    case Method::Linear:
      for (std::size_t e = 0; e < experts; ++e) assignment[e] = static_cast<std::int32_t>(e / (experts / devices));
      return assignment;
    case Method::RoundRobin:
      for (std::size_t e = 0; e < experts; ++e) assignment[e] = static_cast<std::int32_t>(e % devices);
      return assignment;
    case Method::Eplb:
      return pack_greedily(mean_loads(trace, layer), std::vector<double>(devices, 1.0));
    case Method::SpeedAware:
      return pack_greedily(mean_loads(trace, layer), relative_speeds(latencies, trace, layer));
    case Method::Paper:
    case Method::Gem:
      break;
  }
  throw UsageError("method '" + method_name(method) + "' is searched for, it is not a baseline");
}

Matrix<std::int32_t> baseline_mapping(Method method, const DeviceLatencies& latencies, const LoadTrace& trace) {
  Matrix<std::int32_t> mapping(trace.layer_count(), trace.expert_count());
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const Assignment assignment = baseline_assignment(method, latencies, trace, layer);
    std::copy(assignment.begin(), assignment.end(), mapping.row(layer).begin());
  }
  return mapping;
}

}  // namespace gem
