#include "mapping/baselines.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "model/mapping.hpp"
#include "search/packing.hpp"

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

Assignment baseline_assignment(Method method, const CostModel& model, const LoadTrace& trace, std::size_t layer) {
  const std::size_t experts = trace.expert_count(), devices = model.device_count();
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
      return pack_greedily(mean_loads(trace, layer), relative_speeds(model.latencies(), trace, layer));
    case Method::Paper:
    case Method::Gem:
      break;
  }
  throw UsageError("method '" + method_name(method) + "' is searched for, it is not a baseline");
}

Matrix<std::int32_t> baseline_mapping(Method method, const CostModel& model, const LoadTrace& trace) {
  Matrix<std::int32_t> mapping(trace.layer_count(), trace.expert_count());
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const Assignment assignment = baseline_assignment(method, model, trace, layer);
    std::copy(assignment.begin(), assignment.end(), mapping.row(layer).begin());
  }
  return mapping;
}

}  // namespace gem
