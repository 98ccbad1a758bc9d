#include "mapping/gem_method.hpp"

#include <algorithm>
#include <chrono>

#include "mapping/certificate.hpp"
#include "mapping/copy_search.hpp"
#include "mapping/mapping_report.hpp"
#include "mapping/mixed_steps.hpp"
#include "mapping/model_tail.hpp"
#include "search/packing.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// The index of the mapping that is best for a layer.
std::size_t best_for(const LayerProblem& problem, const std::vector<MappingMatrix>& mappings, std::size_t layer) {
  std::vector<std::int64_t> costs;
  for (const MappingMatrix& mapping : mappings) costs.push_back(cost_of(problem, assignment_of(mapping, layer)));
  return static_cast<std::size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
}

std::vector<LayerProblem> limited(std::vector<LayerProblem> problems, const ExpertGroups& groups) {
  for (LayerProblem& problem : problems) problem = groups.limited(problem);
  return problems;
}

// What the search begins with and must not end worse than, [layer, unit]: all other methods, or, as these split groups,
// linear and packed groups.
std::vector<MappingMatrix> first_mappings(const MappingQuestion& question, const CostModel& model,
                                          const std::vector<NamedMapping>& others) {
  if (question.expert_groups == 1) {
    std::vector<MappingMatrix> first;
    for (const NamedMapping& named : others) first.push_back(named.mapping);
    return first;
  }
  const LoadTrace& trace = question.train;
  const ExpertGroups groups = expert_groups_of(question);
  std::vector<MappingMatrix> units;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const Assignment starts[] = {
        baseline_assignment(Method::Linear, model, trace, layer),
        groups.packed(mean_loads(trace, layer), relative_speeds(model.latencies(), trace, layer))};
    for (std::size_t i = 0; i < 2; ++i) {
      const Assignment start = groups.units_of(starts[i]);
      if (layer == 0) units.emplace_back(trace.layer_count(), start.size());
      std::ranges::copy(start, units[i].row(layer).begin());
    }
  }
  return units;
}

// Improves the answers where exact search can, and says how good they are; bounds for the file hold for the trace's own
// steps on the surface only, and not of the copies that were chosen alone.
void add_certificates(const Communicator& world, const MappingQuestion& question,
                      const std::vector<LayerProblem>& problems, bool own_steps, std::vector<LayerAnswer>& answers,
                      Searched& searched) {
  const std::vector<Certificate> certificates = certify(world, problems, answers, question.search.show_progress);
  searched.report += '\n';
  searched.report += certificate_table(problems, question.train.layer_ids, certificates);
  if (!own_steps || question.features != LoadFeatures::TilesAndExperts || question.redundant_experts > 0) return;
  for (std::size_t layer = 0; layer < problems.size(); ++layer)
    searched.lower_bound_s.push_back(mean_seconds(problems[layer], certificates[layer].lower_bound));
}

// `trace` has the steps to search on.
Searched search(const Communicator& world, const MappingQuestion& question, const LoadTrace& trace,
                const Placed& placed, const std::vector<MappingMatrix>& baselines) {
  const ExpertGroups groups = expert_groups_of(question);
  const std::vector<LayerProblem> train_problems = limited(placed.problems, groups);
  const std::vector<LayerProblem> problems =
      limited(problems_of(cost_model_of(question), trace, placed.copies), groups);
  // The best baseline first, so that even the first start leaves none of them better.
  const auto first_starts = [&](std::size_t layer) {
    std::vector<Assignment> starts;
    for (const MappingMatrix& mapping : baselines) starts.push_back(assignment_of(mapping, layer));
    std::swap(starts[0], starts[best_for(problems[layer], baselines, layer)]);
    return starts;
  };
  ModelAnswer found = search_model(world, problems, first_starts, question.search);
  Searched searched{MappingMatrix(problems.size(), placed.problems[0].expert_count()), {}, {}, {}, {}};
  for (const StartPoint& point : found.course)
    searched.course.push_back({point.layer, point.start, point.elapsed_s,
                               mean_seconds(problems[static_cast<std::size_t>(point.layer)], point.cost)});
  searched.report = describe_search(question, found, trace.step_count(), world.size());
  if (question.expert_groups > 1) searched.report += "        " + groups.describe() + "\n";
  if (question.certify)
    add_certificates(world, question, problems, trace.step_count() == question.train.step_count(), found.layers,
                     searched);
  if (question.objective == Objective::P99) improve_model_tail(world, problems, found.layers, question.search);

  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Assignment assignment = found.layers[layer].assignment;
    order_copies(assignment, problems[layer].expert_of_copy());
    // Mixtures can lead away from what is best on the trace's own steps; never below a baseline there.
    const std::size_t best = best_for(train_problems[layer], baselines, layer);
    const Assignment baseline = assignment_of(baselines[best], layer);
    if (question.objective == Objective::Mean && question.features == LoadFeatures::TilesAndExperts &&
        cost_of(train_problems[layer], baseline) < cost_of(train_problems[layer], assignment))
      assignment = baseline;
    std::ranges::copy(groups.experts_of(assignment), searched.mapping.row(layer).begin());
  }
  return searched;
}

// The first local optimum of experts without copies.
MappingMatrix search_without_copies(const Communicator& world, const MappingQuestion& question,
                                    const LoadTrace& trace) {
  const CostModel model = cost_model_of(question);
  const MappingMatrix packed = baseline_mapping(Method::SpeedAware, model, question.train);
  const ModelAnswer found = first_optima(world, layer_problems(model, trace), packed, question.search);
  MappingMatrix mapping = packed;
  for (std::size_t layer = 0; layer < mapping.rows(); ++layer)
    std::ranges::copy(found.layers[layer].assignment, mapping.row(layer).begin());
  return mapping;
}

// Layers whose experts are served better by the baselines' own copies, on the trace's own steps, get these, as the best
// baseline places them. Not where certificates were given for the copies that were searched.
void keep_better_copies(const MappingQuestion& question, Candidates& all, Searched& searched) {
  if (question.objective != Objective::Mean || question.features != LoadFeatures::TilesAndExperts || question.certify)
    return;
  for (std::size_t layer = 0; layer < searched.mapping.rows(); ++layer) {
    std::int64_t least = cost_of(all.searched_copies.problems[layer], assignment_of(searched.mapping, layer));
    for (const NamedMapping& named : all.mappings) {
      if (named.placed != &all.packed_copies) continue;
      const std::int64_t cost = cost_of(all.packed_copies.problems[layer], assignment_of(named.mapping, layer));
      if (cost >= least) continue;
      least = cost;
      std::ranges::copy(named.mapping.row(layer), searched.mapping.row(layer).begin());
      std::ranges::copy(all.packed_copies.copies.row(layer), all.searched_copies.copies.row(layer).begin());
    }
  }
  all.searched_copies.problems = problems_of(all.cost_model, question.train, all.searched_copies.copies);
}

// Chooses the copies, then searches; a time limit is for both, and half of it at most for choosing.
Searched search_with_copies(const Communicator& world, MappingQuestion question, const LoadTrace& trace,
                            Candidates& all) {
  const auto begin = std::chrono::steady_clock::now();
  MappingMatrix without_copies = search_without_copies(world, question, trace);
  SearchOptions choosing = question.search;
  choosing.time_limit_s /= 2.0;
  all.searched_copies.copies =
      search_copies(world, cost_model_of(question), question.train, trace, question.redundant_experts, choosing);
  all.searched_copies.problems = problems_of(all.cost_model, question.train, all.searched_copies.copies);
  std::vector<MappingMatrix> first;
  for (Method method : all_methods())
    if (packs_loads(method))
      first.push_back(pack_copies(method, all.cost_model, question.train, all.searched_copies.copies));
  if (question.search.time_limit_s > 0.0) {
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - begin;
    question.search.time_limit_s = std::max(1e-3, question.search.time_limit_s - world.max(spent.count()));
  }
  Searched searched = search(world, question, trace, all.searched_copies, first);
  keep_better_copies(question, all, searched);
  searched.report += describe_copies(question, all.searched_copies.copies);
  searched.without_copies = std::move(without_copies);
  return searched;
}

}  // namespace

Searched search_mapping(const Communicator& world, const MappingQuestion& question, Candidates& candidates) {
  const LoadTrace trace = with_mixed_steps(question.train, question.mixed_steps, question.search.seed);
  if (question.redundant_experts > 0) return search_with_copies(world, question, trace, candidates);
  return search(world, question, trace, candidates.experts,
                first_mappings(question, candidates.cost_model, candidates.mappings));
}

}  // namespace gem
