#include "mapping/copy_search.hpp"

#include <algorithm>
#include <cmath>

#include "mapping/baselines.hpp"
#include "mapping/mapping_costs.hpp"
#include "search/redundant_experts.hpp"

namespace gem {

ModelAnswer first_optima(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::vector<Assignment>& first, const SearchOptions& options) {
  SearchOptions brief = options;
  brief.starts = 1;
  brief.iterations = 0;
  return search_model(
      world, problems, [&](std::size_t layer) { return std::vector<Assignment>{first[layer]}; }, brief);
}

CopyCounts search_copies(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                         const LoadTrace& searched, std::size_t redundant_experts, const SearchOptions& options) {
  CopyCounts best(trace.layer_count(), trace.expert_count());
  std::vector<double> best_s(trace.layer_count(), INFINITY);
  for (const CopyCounts& copies : ways_to_copy(trace, redundant_experts, model.device_count())) {
    const std::vector<LayerProblem> problems = problems_of(model, searched, copies);
    const Mapping packed = packed_mapping(PackedBy::Speed, model, trace, copies);
    const ModelAnswer found = first_optima(world, problems, assignments_of(packed), options);
    for (std::size_t layer = 0; layer < problems.size(); ++layer) {
      const double cost_s = mean_seconds(problems[layer], found.layers[layer].cost);
      if (cost_s >= best_s[layer]) continue;
      best_s[layer] = cost_s;
      std::ranges::copy(copies.row(layer), best.row(layer).begin());
    }
    if (world.max(options.out_of_time() ? 1 : 0) == 1) break;
  }
  return best;
}

}  // namespace gem
