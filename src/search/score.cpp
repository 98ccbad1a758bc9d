#include "search/score.hpp"

#include <numeric>

#include "base/statistics.hpp"
#include "search/placement.hpp"
#include "search/redundant_experts.hpp"

namespace gem {

Score score_of(const std::vector<LayerProblem>& problems, const Mapping& mapping) {
  Score score;
  if (problems.empty()) return score;
  std::vector<double> step_s(problems[0].step_count(), 0.0);
  double slowest_s = 0.0, mean_device_s = 0.0;
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    const LayerProblem& problem = problems[layer];
    const Placement placement(problem, assignment_of(mapping, layer));
    const double tick_s = problem.tables().tick_s();
    const auto device_count = static_cast<std::int32_t>(problem.device_count());
    const std::size_t profiled = problem.first_column(profiled_stage);
    for (std::size_t t = 0; t < step_s.size(); ++t) {
      for (std::size_t stage = 0; stage < problem.stage_count(); ++stage)
        step_s[t] += placement.column_cost()[problem.first_column(stage) + t] * tick_s;
      slowest_s += placement.column_cost()[profiled + t] * tick_s;
      for (std::int32_t d = 0; d < device_count; ++d)
        mean_device_s += placement.time(d)[profiled + t] * tick_s / device_count;
    }
  }
  score.mean_s = mean(step_s);
  score.p99_s = quantile(step_s, 0.99);
  score.imbalance = mean_device_s > 0.0 ? slowest_s / mean_device_s : 1.0;
  return score;
}

double stage_seconds(const LayerProblem& problem, const Assignment& assignment, std::size_t stage) {
  const Placement placement(problem, assignment);
  const auto begin = placement.column_cost().begin() + static_cast<std::ptrdiff_t>(problem.first_column(stage));
  const auto end = begin + static_cast<std::ptrdiff_t>(problem.step_count());
  return mean_seconds(problem, std::accumulate(begin, end, std::int64_t{0}));
}

}  // namespace gem
