#include "mapping/model_tail.hpp"

#include <algorithm>

#include "mapping/deal.hpp"
#include "platform/command_line/progress.hpp"
#include "search/tail_search.hpp"

namespace gem {

void improve_model_tail(const Communicator& world, const std::vector<LayerProblem>& problems,
                        std::vector<LayerAnswer>& answers, const SearchOptions& options) {
  std::vector<Assignment> assignments;
  for (const LayerAnswer& answer : answers) assignments.push_back(answer.assignment);
  TailOptions tail;
  tail.stop_now = [&] { return options.out_of_time(); };
  double best_value = INFINITY;
  std::size_t best_attempt = 0;
  std::vector<Assignment> best = assignments;
  Progress progress("slowest steps", options.starts, options.show_progress && world.is_root());
  deal(world, options.starts, [&](std::size_t attempt, const SharedCounter&) {
    if (attempt > 0 && options.out_of_time()) return;
    progress.update(attempt);
    const std::vector<Assignment> improved =
        improve_tail(problems, assignments, RandomStream{options.seed, attempt}, tail);
    const std::vector<std::int64_t> totals = step_totals(problems, improved);
    const double value = mean_of_slowest(std::vector<double>(totals.begin(), totals.end()), tail.share);
    if (std::pair(value, attempt) >= std::pair(best_value, best_attempt)) return;
    best_value = value;
    best_attempt = attempt;
    best = improved;
  });

  const double least = world.min(best_value);
  const auto none = static_cast<std::int64_t>(options.starts);
  const auto winner = world.min(best_value == least ? static_cast<std::int64_t>(best_attempt) : none);
  std::vector<std::int32_t> mine;
  if (best_value == least && static_cast<std::int64_t>(best_attempt) == winner)
    for (const Assignment& assignment : best) mine.insert(mine.end(), assignment.begin(), assignment.end());
  // One rank alone gives anything.
  std::vector<std::int32_t> all = world.gather(std::span<const std::int32_t>(mine));
  world.broadcast(all);
  auto at = all.begin();
  for (std::size_t layer = 0; layer < answers.size(); ++layer) {
    const auto end = at + static_cast<std::ptrdiff_t>(problems[layer].expert_count());
    answers[layer].assignment.assign(at, end);
    answers[layer].cost = cost_of(problems[layer], answers[layer].assignment);
    at = end;
  }
}

}  // namespace gem
