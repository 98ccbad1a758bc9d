#include "mapping/copy_search.hpp"

#include <algorithm>
#include <numeric>

#include "mapping/baselines.hpp"
#include "mapping/mapping_costs.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// The ways are compared on about so many steps first, and this number of the best of each layer on all of them.
constexpr std::size_t steps_to_sift_on = 64, ways_to_keep = 2;

bool is_sifted(std::size_t ways, std::size_t steps) {
  return ways > ways_to_keep && steps >= 2 * steps_to_sift_on;
}

// Steps evenly apart, with a distance that has no divisor in common with the number of the trace's own steps, which
// come again and again (with_mixed_steps): all of them are there.
LoadTrace sifting_steps(const LoadTrace& searched, std::size_t own) {
  std::size_t apart = searched.step_count() / steps_to_sift_on;
  while (apart > 1 && std::gcd(apart, own) > 1) --apart;
  std::vector<std::size_t> steps;
  for (std::size_t step = 0; step < searched.step_count(); step += apart) steps.push_back(step);
  return chosen_steps(searched, steps);
}

// Of each way, [way][layer], what its first local optimum costs, s a step, with its copies in the order that files
// have; shorter where the time was up.
std::vector<std::vector<double>> costs_of(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                                          const LoadTrace& searched, const std::vector<CopyCounts>& ways,
                                          const SearchOptions& options) {
  std::vector<std::vector<double>> costs_s;
  for (const CopyCounts& copies : ways) {
    const std::vector<LayerProblem> problems = problems_of(model, searched, copies);
    const Mapping packed = packed_mapping(PackedBy::Speed, model, trace, copies);
    const ModelAnswer found = first_optima(world, problems, assignments_of(packed), options);
    std::vector<double>& of_way = costs_s.emplace_back();
    for (std::size_t layer = 0; layer < problems.size(); ++layer) {
      Assignment assignment = found.layers[layer].assignment;
      order_copies(assignment, problems[layer].expert_of_copy());
      of_way.push_back(mean_seconds(problems[layer], cost_of(problems[layer], assignment)));
    }
    if (world.max(options.out_of_time() ? 1 : 0) == 1) break;
  }
  return costs_s;
}

// The best ways of each layer, of those with costs: in each as many as are asked for, the first of equal ones, none
// twice unless there are too few.
std::vector<CopyCounts> best_of_each_layer(const std::vector<CopyCounts>& ways,
                                           const std::vector<std::vector<double>>& costs_s, std::size_t number) {
  std::vector<CopyCounts> best(number, ways.front());
  for (std::size_t layer = 0; layer < ways.front().rows(); ++layer) {
    std::vector<std::size_t> order(costs_s.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order,
                             [&](std::size_t a, std::size_t b) { return costs_s[a][layer] < costs_s[b][layer]; });
    const auto taken = [&](std::size_t way, std::size_t count) {
      return std::any_of(
          best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count),
          [&](const CopyCounts& copies) { return std::ranges::equal(copies.row(layer), ways[way].row(layer)); });
    };
    auto next = order.begin();
    for (std::size_t i = 0; i < number; ++i) {
      while (next + 1 != order.end() && taken(*next, i)) ++next;
      std::ranges::copy(ways[*next].row(layer), best[i].row(layer).begin());
    }
  }
  return best;
}

}  // namespace

ModelAnswer first_optima(const Communicator& world, const std::vector<LayerProblem>& problems,
                         const std::vector<Assignment>& first, const SearchOptions& options) {
  SearchOptions brief = options;
  brief.starts = 1;
  brief.iterations = 0;
  brief.rough = true;
  return search_model(
      world, problems, [&](std::size_t layer) { return std::vector<Assignment>{first[layer]}; }, brief);
}

double copy_search_descents(std::size_t ways, std::size_t steps) {
  if (!is_sifted(ways, steps)) return static_cast<double>(ways);
  const double share = static_cast<double>(steps_to_sift_on) / static_cast<double>(steps);
  return static_cast<double>(ways) * share + static_cast<double>(ways_to_keep);
}

CopyCounts search_copies(const Communicator& world, const CostModel& model, const LoadTrace& trace,
                         const LoadTrace& searched, std::size_t redundant_experts, const SearchOptions& options,
                         const std::vector<CopyCounts>& others) {
  std::vector<CopyCounts> ways;
  for (const std::vector<CopyCounts>& some : {ways_to_copy(trace, redundant_experts, model.device_count()), others})
    for (const CopyCounts& way : some)
      if (std::ranges::find(ways, way) == ways.end()) ways.push_back(way);
  if (is_sifted(ways.size(), searched.step_count())) {
    const LoadTrace steps = sifting_steps(searched, trace.step_count());
    const std::vector<std::vector<double>> costs_s = costs_of(world, model, trace, steps, ways, options);
    ways = best_of_each_layer(ways, costs_s, ways_to_keep);
  }
  return best_of_each_layer(ways, costs_of(world, model, trace, searched, ways, options), 1).front();
}

}  // namespace gem
