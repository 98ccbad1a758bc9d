#include "mapping/copy_search.hpp"

#include <algorithm>
#include <cmath>

#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
std::vector<LayerProblem> problems_of(const CostModel& model, const LoadTrace& trace, const CopyCounts& copies) {
  if (copies.rows() == 0) return layer_problems(model, trace);
  std::vector<LayerProblem> problems = layer_problems(model, split_over_copies(trace, copies));
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    problems[layer].set_copies(experts_of_copies(copies.row(layer)));
  return problems;
}

Matrix<std::int32_t> pack_copies(Method method, const CostModel& model, const LoadTrace& trace,
                                 const CopyCounts& copies) {
  const LoadTrace split = split_over_copies(trace, copies);
  Matrix<std::int32_t> mapping = baseline_mapping(method, model, split);
  for (std::size_t layer = 0; layer < mapping.rows(); ++layer) {
    const std::vector<std::int32_t> expert_of_copy = experts_of_copies(copies.row(layer));
    Assignment assignment = assignment_of(mapping, layer);
    separate_copies(assignment, expert_of_copy, mean_loads(split, layer), model.device_count());
    order_copies(assignment, expert_of_copy);
    std::ranges::copy(assignment, mapping.row(layer).begin());
  }
  return mapping;
}

ModelAnswer first_optima(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const Matrix<std::int32_t>& first, const SearchOptions& options) {
  SearchOptions brief = options;
  brief.starts = 1;
  brief.iterations = 0;
  return search_model(
      world, problems, [&](std::size_t layer) { return std::vector<Assignment>{assignment_of(first, layer)}; }, brief);
}

CopyCounts search_copies(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                         const LoadTrace& searched, std::size_t redundant_experts, const SearchOptions& options) {
  CopyCounts best(trace.layer_count(), trace.expert_count());
  std::vector<double> best_s(trace.layer_count(), INFINITY);
  double spent_s = 0.0;  // the same on all ranks
  for (const CopyCounts& copies : ways_to_copy(trace, redundant_experts, model.device_count())) {
    const std::vector<LayerProblem> problems = problems_of(model, searched, copies);
    const Matrix<std::int32_t> packed = pack_copies(Method::SpeedAware, model, trace, copies);
    const ModelAnswer found = first_optima(world, problems, packed, options);
    for (std::size_t layer = 0; layer < problems.size(); ++layer) {
      const double cost_s = mean_seconds(problems[layer], found.layers[layer].cost);
      if (cost_s >= best_s[layer]) continue;
      best_s[layer] = cost_s;
      std::ranges::copy(copies.row(layer), best.row(layer).begin());
    }
    spent_s += found.elapsed_s;
    if (options.time_limit_s > 0.0 && spent_s > options.time_limit_s) break;
  }
  return best;
}

}  // namespace gem
