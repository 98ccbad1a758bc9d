#include "search/tail_search.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include "search/layer_search.hpp"

namespace gem {
namespace {

std::size_t slowest_count(std::size_t steps, double share) {
  const auto count = static_cast<std::size_t>(std::llround(share * static_cast<double>(steps)));
  return std::clamp<std::size_t>(count, 1, steps);
}

void add_layer(std::vector<std::int64_t>& totals, const LayerProblem& problem, const Assignment& assignment,
               std::int64_t sign) {
  const Placement placement(problem, assignment);
  for (std::size_t stage = 0; stage < problem.stage_count(); ++stage)
    for (std::size_t t = 0; t < totals.size(); ++t)
      totals[t] += sign * placement.column_cost()[problem.first_column(stage) + t];
}

}  // namespace

double mean_of_slowest(std::span<const double> values, double share) {
  std::vector<double> sorted(values.begin(), values.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const std::size_t count = slowest_count(sorted.size(), share);
  return std::accumulate(sorted.begin(), sorted.begin() + static_cast<std::ptrdiff_t>(count), 0.0) /
         static_cast<double>(count);
}

std::vector<std::int64_t> step_totals(const std::vector<LayerProblem>& problems,
                                      const std::vector<Assignment>& assignments) {
  std::vector<std::int64_t> totals(problems[0].step_count(), 0);
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    add_layer(totals, problems[layer], assignments[layer], 1);
  return totals;
}

std::vector<Assignment> improve_tail(std::vector<LayerProblem> problems, std::vector<Assignment> assignments,
                                     RandomStream random, const TailOptions& options) {
  std::vector<std::int64_t> totals = step_totals(problems, assignments);
  const std::size_t steps = totals.size();
  for (std::size_t round = 0; round < options.rounds; ++round)
    for (std::size_t layer = 0; layer < problems.size(); ++layer) {
      if (options.stop_now && options.stop_now()) return assignments;
      std::vector<std::int64_t> sorted = totals;
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      // The fastest step outside the slowest share: the least eta that is best for the placement as it is.
      const std::int64_t eta = sorted[std::min(slowest_count(steps, options.share), steps - 1)];
      LayerProblem& problem = problems[layer];
      add_layer(totals, problem, assignments[layer], -1);
      std::vector<std::int32_t> floor(problem.column_count(), 0);
      for (std::size_t t = 0; t < steps; ++t)
        floor[t] = static_cast<std::int32_t>(std::clamp<std::int64_t>(eta - totals[t], 0, INT32_MAX));
      problem.set_floor(std::move(floor));
      assignments[layer] =
          run_start(problem, assignments[layer], RandomStream{random.next()}, {options.iterations, options.stop_now})
              .assignment;
      problem.set_floor(std::vector<std::int32_t>(problem.column_count(), 0));
      add_layer(totals, problem, assignments[layer], 1);
    }
  return assignments;
}

}  // namespace gem
