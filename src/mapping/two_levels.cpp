#include "mapping/two_levels.hpp"

#include <algorithm>

#include "search/packing.hpp"

namespace gem {
namespace {

// Nodes in place of devices: so many times the load of one device takes as long as its devices do in the mean.
LatencyProfile nodes_as_devices(const LatencyProfile& profile) {
  const std::size_t nodes = profile.topology.node_count(), size = profile.topology.node_size();
  const auto times = static_cast<std::int64_t>(size);
  LatencyProfile merged = profile;
  merged.topology = {};
  merged.exchange = {};
  merged.regimes.clear();
  merged.regime_points.clear();
  merged.regime_median_s = Matrix<double>();
  merged.devices.resize(nodes);
  merged.experts_per_device *= size;
  for (LoadPoint& point : merged.points)
    point = {point.tiles * times, point.active_experts * times, point.tokens * times};
  const auto mean_of_devices = [&](const Matrix<double>& seconds) {
    Matrix<double> of_nodes(nodes, seconds.columns());
    for (std::size_t d = 0; d < seconds.rows(); ++d)
      for (std::size_t p = 0; p < seconds.columns(); ++p)
        of_nodes(d / size, p) += seconds(d, p) / static_cast<double>(size);
    return of_nodes;
  };
  merged.median_s = mean_of_devices(profile.median_s);
  merged.shared_s = mean_of_devices(profile.shared_s);
  return merged;
}

}  // namespace

std::vector<Assignment> place_on_nodes(const MethodTask& task, const LoadTrace& trace) {
  const MappingQuestion& question = task.question;
  const std::size_t nodes = question.profile.topology.node_count(), size = question.profile.topology.node_size();
  const std::size_t experts = trace.expert_count();
  const std::size_t unit_experts = question.routing_groups > 1 ? experts / question.routing_groups : 1;
  CostOptions cost = question.cost;
  cost.exchange_row_ns = row_ns_of_node(question.profile, cost.across_nodes);
  cost.across_nodes = AcrossNodes::Off;
  std::vector<LayerProblem> problems;
  for (LayerProblem& problem : layer_problems(CostModel(nodes_as_devices(question.profile), cost), trace))
    problems.push_back(unit_experts > 1 ? LayerProblem(problem.merged(unit_experts)) : std::move(problem));

  std::vector<std::vector<double>> loads;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) loads.push_back(mean_loads(question.train, layer));
  const auto first_starts = [&](std::size_t layer) {
    std::vector<double> unit_loads(experts / unit_experts, 0.0);
    for (std::size_t expert = 0; expert < experts; ++expert) unit_loads[expert / unit_experts] += loads[layer][expert];
    return std::vector<Assignment>{pack_greedily(unit_loads, std::vector<double>(nodes, 1.0))};
  };
  SearchOptions options = question.search;
  options.starts = 1;
  const ModelAnswer found = search_model(task.world, problems, first_starts, options);

  std::vector<Assignment> layers;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const std::vector<double> speeds = relative_speeds(task.costs.model().latencies(), question.train, layer);
    Assignment assignment(experts);
    for (std::size_t node = 0; node < nodes; ++node) {
      std::vector<std::size_t> held;
      std::vector<double> held_loads;
      for (std::size_t expert = 0; expert < experts; ++expert) {
        if (found.layers[layer].assignment[expert / unit_experts] != static_cast<std::int32_t>(node)) continue;
        held.push_back(expert);
        held_loads.push_back(loads[layer][expert]);
      }
      const Assignment within = pack_greedily(held_loads, std::span(speeds).subspan(node * size, size));
      for (std::size_t i = 0; i < held.size(); ++i)
        assignment[held[i]] = static_cast<std::int32_t>(node * size) + within[i];
    }
    layers.push_back(std::move(assignment));
  }
  return layers;
}

}  // namespace gem
