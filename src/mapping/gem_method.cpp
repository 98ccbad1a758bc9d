#include "mapping/gem_method.hpp"

#include <algorithm>
#include <optional>

#include "mapping/baselines.hpp"
#include "mapping/certificate.hpp"
#include "mapping/copy_search.hpp"
#include "mapping/mapping_report.hpp"
#include "mapping/mixed_steps.hpp"
#include "mapping/model_tail.hpp"
#include "mapping/two_levels.hpp"
#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

/// One assignment of each layer, [layer], of units (ExpertGroups) or copies.
using Layers = std::vector<Assignment>;

// The index of the assignment that is best for a layer.
std::size_t best_for(const LayerProblem& problem, const std::vector<Layers>& all, std::size_t layer) {
  std::vector<std::int64_t> costs;
  for (const Layers& layers : all) costs.push_back(cost_of(problem, layers[layer]));
  return static_cast<std::size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
}

// In two levels experts change places between devices of one node alone.
std::vector<LayerProblem> limited(std::vector<LayerProblem> problems, const MappingQuestion& question) {
  const ExpertGroups groups = expert_groups_of(question);
  for (LayerProblem& problem : problems) {
    if (question.expert_groups > 1) problem = groups.limited(problem);
    if (question.levels == 2 && question.profile.topology.node_size() > 1)
      problem.set_block_devices(question.profile.topology.node_size());
  }
  return problems;
}

// What the search begins with and must not end worse than: all other methods, or, as these split groups, linear and
// packed groups.
std::vector<Layers> first_layers(const MethodTask& task) {
  std::vector<Layers> first;
  if (task.question.expert_groups == 1) {
    for (const Mapping& mapping : task.before) first.push_back(assignments_of(mapping));
    return first;
  }
  const LoadTrace& trace = task.question.train;
  const CostModel& model = task.costs.model();
  const ExpertGroups groups = expert_groups_of(task.question);
  const Mapping linear = linear_mapping(trace, model.device_count());
  first.resize(2);
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    first[0].push_back(groups.units_of(assignment_of(linear, layer)));
    first[1].push_back(
        groups.units_of(groups.packed(mean_loads(trace, layer), relative_speeds(model.latencies(), trace, layer))));
  }
  return first;
}

// Improves the answers where exact search can, and says how good they are; bounds for the file hold for the trace's own
// steps on the surface only, and not of the copies that were chosen alone.
void add_certificates(const MethodTask& task, const std::vector<LayerProblem>& problems, bool own_steps,
                      std::vector<LayerAnswer>& answers, MethodResult& result) {
  const MappingQuestion& question = task.question;
  const std::vector<Certificate> certificates = certify(task.world, problems, answers, question.search);
  result.report += '\n';
  result.report += certificate_table(problems, question.train.layer_ids, certificates);
  if (!own_steps || question.cost.features != LoadFeatures::TilesAndExperts || question.redundant_experts > 0) return;
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    result.lower_bound_s.push_back(mean_seconds(problems[layer], certificates[layer].lower_bound));
}

// `trace` has the steps to search on.
MethodResult search(const MethodTask& task, const SearchOptions& options, const LoadTrace& trace,
                    const CopyCounts& copies, const std::vector<Layers>& first) {
  const MappingQuestion& question = task.question;
  const ExpertGroups groups = expert_groups_of(question);
  const std::vector<LayerProblem> problems = limited(problems_of(cost_model_of(question), trace, copies), question);
  // The best of the first, first, so that even the first start leaves none of them better.
  const auto first_starts = [&](std::size_t layer) {
    std::vector<Assignment> starts;
    for (const Layers& layers : first) starts.push_back(layers[layer]);
    std::swap(starts[0], starts[best_for(problems[layer], first, layer)]);
    return starts;
  };
  ModelAnswer found = search_model(task.world, problems, first_starts, options);
  MethodResult result;
  result.report = describe_search(question, found, trace.step_count(), task.world.size());
  if (question.expert_groups > 1) result.report += "        " + groups.describe() + "\n";
  if (question.levels == 2) result.report += "        in two levels: experts to nodes, then to their devices\n";
  const bool own_steps = trace.step_count() == question.train.step_count() && question.lean == 0.0;
  if (question.certify) add_certificates(task, problems, own_steps, found.layers, result);
  if (question.objective == Objective::P99) improve_model_tail(task.world, problems, found.layers, options);

  Layers layers;
  const std::vector<LayerProblem> train_problems =
      limited(problems_of(task.costs.model(), question.train, copies), question);
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Assignment assignment = found.layers[layer].assignment;
    order_copies(assignment, problems[layer].expert_of_copy());
    // Mixtures can lead away from what is best on the trace's own steps; never below the first ones there.
    const Assignment& baseline = first[best_for(train_problems[layer], first, layer)][layer];
    if (question.objective == Objective::Mean && question.cost.features == LoadFeatures::TilesAndExperts &&
        cost_of(train_problems[layer], baseline) < cost_of(train_problems[layer], assignment))
      assignment = baseline;
    layers.push_back(groups.experts_of(assignment));
  }
  result.mapping = mapping_of(layers, copies, problems[0].device_count());
  for (const StartPoint& point : found.history)
    result.mapping.course.push_back({point.layer, point.start, point.elapsed_s,
                                     mean_seconds(problems[static_cast<std::size_t>(point.layer)], point.cost)});
  return result;
}

// The first local optimum of experts without copies.
Mapping search_without_copies(const MethodTask& task, const LoadTrace& trace) {
  const CostModel model = cost_model_of(task.question);
  const Mapping packed = packed_mapping(PackedBy::Speed, model, task.question.train, {});
  const ModelAnswer found =
      first_optima(task.world, layer_problems(model, trace), assignments_of(packed), task.question.search);
  Layers layers;
  for (const LayerAnswer& layer : found.layers) layers.push_back(layer.assignment);
  return mapping_of(layers, {}, model.device_count());
}

// Layers whose experts are served better by another method's own copies, on the trace's own steps, get these, as that
// method places them. Not where certificates were given for the copies that were searched.
void keep_better_copies(const MethodTask& task, Mapping& mapping) {
  const MappingQuestion& question = task.question;
  if (question.objective != Objective::Mean || question.cost.features != LoadFeatures::TilesAndExperts ||
      question.certify)
    return;
  const Mapping searched = mapping;
  for (std::size_t layer = 0; layer < mapping.layer_count(); ++layer) {
    std::int64_t minimum = task.costs.cost(searched, layer);
    for (const Mapping& other : task.before) {
      if (other.redundant_count() != mapping.redundant_count()) continue;
      const std::int64_t cost = task.costs.cost(other, layer);
      if (cost >= minimum) continue;
      minimum = cost;
      std::ranges::copy(other.expert_to_device.row(layer), mapping.expert_to_device.row(layer).begin());
      std::ranges::copy(other.redundant.row(layer), mapping.redundant.row(layer).begin());
    }
  }
}

// A note where a quick search without copies finds a mapping that is faster on the steps scored.
std::string describe_harm_of_copies(const MethodTask& task, const Mapping& with_copies, const Mapping& without_copies) {
  const std::optional<LoadTrace>& test = task.question.test;
  if (!test)
    return describe_harm(task.question, task.costs.score(with_copies).mean_s, task.costs.score(without_copies).mean_s);
  MappingCosts on_test(task.costs.model(), *test);
  return describe_harm(task.question, on_test.score(with_copies).mean_s, on_test.score(without_copies).mean_s);
}

// Chooses the copies, then searches; a time limit is for both, and half of what is left of it at most for choosing.
MethodResult search_with_copies(const MethodTask& task, const LoadTrace& trace) {
  const MappingQuestion& question = task.question;
  std::optional<Mapping> without_copies;  // experts alone may not divide over the devices
  if (question.train.expert_count() % task.costs.model().device_count() == 0)
    without_copies = search_without_copies(task, trace);
  SearchOptions options = question.search;
  if (options.time_limit_s > 0.0)
    options.time_limit_s = 0.5 * (options.time_limit_s + std::min(options.elapsed_s(), options.time_limit_s));
  std::vector<CopyCounts> others;  // that other methods choose
  for (const Mapping& mapping : task.before)
    if (mapping.redundant_count() == question.redundant_experts) others.push_back(copies_of(mapping));
  const CopyCounts copies = search_copies(task.world, cost_model_of(question), question.train, trace,
                                          question.redundant_experts, options, others);
  std::vector<Layers> first;
  for (const PackedBy packed_by : {PackedBy::Load, PackedBy::Speed})
    first.push_back(assignments_of(packed_mapping(packed_by, task.costs.model(), question.train, copies)));
  MethodResult result = search(task, question.search, trace, copies, first);
  keep_better_copies(task, result.mapping);
  result.report += describe_copies(question, copies_of(result.mapping));
  if (task.world.is_root() && without_copies)
    result.report += describe_harm_of_copies(task, result.mapping, *without_copies);
  return result;
}

// The steps to search on; under a time limit no more mixtures than there is time for, the same on all ranks.
LoadTrace steps_in_time(const MethodTask& task) {
  const MappingQuestion& question = task.question;
  const SearchOptions& options = question.search;
  const std::size_t own = question.train.step_count();
  if (options.time_limit_s <= 0.0 || mixed_steps_of(question) <= own) return steps_to_search_on(question);
  const double begin_s = options.elapsed_s();
  problems_of(task.costs.model(), question.train, {});
  const double end_s = options.elapsed_s();
  MappingQuestion shortened = question;
  shortened.mixed_steps = mixed_steps_in_time(mixed_steps_of(question), own, task.world.max(end_s - begin_s),
                                              options.time_limit_s - task.world.max(end_s));
  return steps_to_search_on(shortened);
}

}  // namespace

MethodResult run_gem(const MethodTask& task) {
  const MappingQuestion& question = task.question;
  if (question.instead)
    for (const Mapping& mapping : task.before)
      if (made_by(mapping, *question.instead)) return {mapping};
  const LoadTrace trace = steps_in_time(task);
  if (question.redundant_experts > 0) return search_with_copies(task, trace);
  if (question.levels == 1) return search(task, question.search, trace, {}, first_layers(task));
  // Those that engines place in two levels, and linear, which is never to be better.
  std::vector<Layers> first{place_on_nodes(task, trace), assignments_of(task.before.front())};
  for (const Mapping& mapping : task.before)
    if (entry_of(parse_method(mapping.method)).needs_nodes) first.push_back(assignments_of(mapping));
  return search(task, question.search, trace, {}, first);
}

}  // namespace gem
