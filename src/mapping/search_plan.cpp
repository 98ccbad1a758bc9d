#include "mapping/search_plan.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>

#include "base/text.hpp"
#include "mapping/copy_search.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_question.hpp"
#include "search/redundant_experts.hpp"

namespace gem {

std::string describe_search_plan(const Communicator& world, const MappingQuestion& question) {
  std::string plan = "Would search " + describe_question(question) + "\n";
  if (!entry_of(question.method).searches)
    return plan + "Method " + method_name(question.method) + ": nothing to search for, under a second\n";
  const SearchOptions& options = question.search;
  const LoadTrace trace = steps_to_search_on(question);
  const CostModel model = cost_model_of(question);
  const std::vector<LayerProblem> one_layer{
      expert_groups_of(question).limited(problems_of(model, trace, copies_by_mean_load(question))[0])};
  const auto seconds = [&](std::size_t iterations) {
    SearchOptions trial;
    trial.seed = options.seed;
    trial.iterations = iterations;
    return search_model(
               world, one_layer, [](std::size_t) { return std::vector<Assignment>{}; }, trial)
        .elapsed_s;
  };
  constexpr std::size_t trial_iterations = 20;
  const double descent_s = seconds(0);
  const double iteration_s = std::max(0.0, seconds(trial_iterations) - descent_s) / trial_iterations;
  const double starts_a_rank =
      std::ceil(static_cast<double>(question.train.layer_count() * options.starts) / world.size());
  const std::size_t iterations = iterations_of(options, one_layer[0]);
  double total_s = starts_a_rank * (descent_s + iteration_s * static_cast<double>(iterations));
  if (question.redundant_experts > 0) {
    const std::size_t ways = ways_to_copy(question.train, question.redundant_experts, model.device_count()).size();
    const double descents = copy_search_descents(ways, trace.step_count()) + 1.0;  // and one without copies
    total_s += std::ceil(static_cast<double>(question.train.layer_count()) / world.size()) * descents * descent_s;
  }
  // Each fold is searched on all, half and a quarter of its steps; searches that lean are not foreseen.
  total_s *= 1.0 + 3.0 * static_cast<double>(fold_count_of(question));
  if (options.time_limit_s > 0.0) total_s = std::min(total_s, options.time_limit_s);
  return plan +
         wrap(fmt::format("Method {}: on {}, {} a layer, {} each, seed {}, {}: {}{}", method_name(question.method),
                          counted(trace.step_count(), "step"), counted(options.starts, "start"),
                          counted(iterations, "iteration"), options.seed,
                          counted(static_cast<std::size_t>(world.size()), "rank"), total_s < 1.0 ? "" : "about ",
                          format_duration(total_s))) +
         "\n";
}

}  // namespace gem
