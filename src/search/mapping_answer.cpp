#include "search/mapping_answer.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.hpp"
#include "base/text.hpp"
#include "search/certificate.hpp"
#include "search/copy_search.hpp"
#include "search/expert_groups.hpp"
#include "search/measured_range.hpp"
#include "search/mixed_steps.hpp"
#include "search/model_tail.hpp"
#include "search/paper_method.hpp"
#include "search/redundant_experts.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

using MappingMatrix = Matrix<std::int32_t>;  // [layer, expert or copy]

std::vector<double> lower_bounds_s(const std::vector<LayerProblem>& problems) {
  const WaterFilling water_filling(problems[0].tables());
  std::vector<double> bounds;
  for (const LayerProblem& problem : problems) bounds.push_back(mean_seconds(problem, water_filling.bound(problem)));
  return bounds;
}

// What is placed: experts, or, of some of them, several copies.
struct Placed {
  CopyCounts copies;                        // empty: one of each
  std::vector<LayerProblem> problems;       // on the steps searched on
  std::vector<LayerProblem> test_problems;  // on those that are scored; on rank 0
};

// "8 redundant experts a layer (+25 % of the experts' weights), at most 3 of one".
std::string describe_copies(const MappingQuestion& question, const CopyCounts& copies) {
  const std::int32_t most = *std::max_element(copies.values().begin(), copies.values().end());
  const double share = static_cast<double>(question.redundant_experts) / static_cast<double>(copies.columns());
  return format(
      "        %zu redundant experts a layer (+%.0f %% of the experts' weights), at most\n"
      "        %d copies of one, chosen by search; eplb and speed-aware copy the experts\n"
      "        with the most tokens; linear, round-robin and paper have no copies\n",
      question.redundant_experts, share * 100.0, most);
}

CopyCounts copies_by_mean_load(const MappingQuestion& question) {
  if (question.redundant_experts == 0) return {};
  return choose_copies(question.train, question.redundant_experts, question.profile.device_count());
}

struct NamedMapping {
  Method method;
  MappingMatrix mapping;
  const Placed* placed;
};

// All that is compared; mappings point to what they place.
struct Candidates {
  std::optional<DeviceLatencies> latencies;
  Placed experts, packed_copies, searched_copies;  // copies as EPLB chooses them, and as the search does
  std::vector<NamedMapping> mappings;
  std::vector<MappingMatrix> first;  // what the search of experts without copies begins with
};

Assignment layer_of(const MappingMatrix& mapping, std::size_t layer) {
  return Assignment(mapping.row(layer).begin(), mapping.row(layer).end());
}

// The index of the mapping that is best for a layer.
std::size_t best_for(const LayerProblem& problem, const std::vector<MappingMatrix>& mappings, std::size_t layer) {
  std::vector<std::int64_t> costs;
  for (const MappingMatrix& mapping : mappings) costs.push_back(cost_of(problem, layer_of(mapping, layer)));
  return static_cast<std::size_t>(std::min_element(costs.begin(), costs.end()) - costs.begin());
}

ExpertGroups groups_of(const MappingQuestion& question) {
  return ExpertGroups(question.expert_groups, question.train.expert_count(), question.profile.device_count());
}

std::vector<LayerProblem> limited(std::vector<LayerProblem> problems, const ExpertGroups& groups) {
  for (LayerProblem& problem : problems) problem = groups.limited(problem);
  return problems;
}

// What the search begins with and must not end worse than, [layer, unit]: all other methods, or, as these split groups,
// linear and packed groups.
std::vector<MappingMatrix> first_mappings(const MappingQuestion& question, const DeviceLatencies& latencies,
                                          const std::vector<NamedMapping>& others) {
  if (question.expert_groups == 1) {
    std::vector<MappingMatrix> first;
    for (const NamedMapping& named : others) first.push_back(named.mapping);
    return first;
  }
  const LoadTrace& trace = question.train;
  const ExpertGroups groups = groups_of(question);
  std::vector<MappingMatrix> units;
  for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
    const Assignment starts[] = {baseline_assignment(Method::Linear, latencies, trace, layer),
                                 groups.packed(mean_loads(trace, layer), relative_speeds(latencies, trace, layer))};
    for (std::size_t i = 0; i < 2; ++i) {
      const Assignment start = groups.units_of(starts[i]);
      if (layer == 0) units.emplace_back(trace.layer_count(), start.size());
      std::ranges::copy(start, units[i].row(layer).begin());
    }
  }
  return units;
}

struct Searched {
  MappingMatrix mapping;
  std::vector<double> lower_bound_s;  // [layer], where certificates hold for the trace's own steps; else empty
  std::vector<SearchPoint> course;
  std::string report;
  MappingMatrix without_copies;  // where there are any: what a quick search finds without
};

std::string describe_search(const Communicator& world, const ModelAnswer& found, const LoadTrace& trace,
                            const MappingQuestion& question) {
  std::string text =
      format("Search: %zu starts, %zu iterations in %s on %d rank%s%s\n", found.starts_run, found.iterations_run,
             format_seconds(found.elapsed_s).c_str(), world.size(), world.size() == 1 ? "" : "s",
             question.search.time_limit_s > 0.0 ? " (time limit: not repeatable)" : "");
  text += format("        %.3g candidate-steps/s, of which %.3g/s had to be evaluated\n",
                 static_cast<double>(found.work.candidate_steps) / found.elapsed_s,
                 static_cast<double>(found.work.evaluated_steps) / found.elapsed_s);
  if (trace.step_count() > question.train.step_count())
    text += format("        on %zu steps: the trace's own %zu and mixtures of them\n", trace.step_count(),
                   question.train.step_count());
  return text;
}

// `trace` has the steps to search on.
Searched search(const Communicator& world, const MappingQuestion& question, const LoadTrace& trace,
                const Placed& placed, const std::vector<MappingMatrix>& baselines) {
  const ExpertGroups groups = groups_of(question);
  const std::vector<LayerProblem> train_problems = limited(placed.problems, groups);
  const std::vector<LayerProblem> problems =
      limited(problems_of(DeviceLatencies(question.profile, question.features), trace, placed.copies), groups);
  // The best baseline first, so that even the first start leaves none of them better.
  const auto first_starts = [&](std::size_t layer) {
    std::vector<Assignment> starts;
    for (const MappingMatrix& mapping : baselines) starts.push_back(layer_of(mapping, layer));
    std::swap(starts[0], starts[best_for(problems[layer], baselines, layer)]);
    return starts;
  };
  ModelAnswer found = search_model(world, problems, first_starts, question.search);
  Searched searched{MappingMatrix(problems.size(), placed.problems[0].expert_count()), {}, {}, {}, {}};
  for (const StartPoint& point : found.course)
    searched.course.push_back({point.layer, point.start, point.elapsed_s,
                               mean_seconds(problems[static_cast<std::size_t>(point.layer)], point.cost)});
  searched.report = describe_search(world, found, trace, question);
  if (question.expert_groups > 1) searched.report += "        " + groups.describe() + "\n";
  if (question.certify) {
    const std::vector<Certificate> certificates = certify(world, problems, found.layers, question.search.show_progress);
    searched.report += '\n';
    searched.report += certificate_table(problems, question.train.layer_ids, certificates);
    const bool own_steps = trace.step_count() == question.train.step_count();
    if (own_steps && question.features == LoadFeatures::TilesAndExperts)
      for (std::size_t layer = 0; layer < problems.size(); ++layer)
        searched.lower_bound_s.push_back(mean_seconds(problems[layer], certificates[layer].lower_bound));
  }
  if (question.objective == Objective::P99) improve_model_tail(world, problems, found.layers, question.search);

  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Assignment assignment = found.layers[layer].assignment;
    order_copies(assignment, problems[layer].expert_of_copy());
    // Mixtures can lead away from what is best on the trace's own steps; never below a baseline there.
    const std::size_t best = best_for(train_problems[layer], baselines, layer);
    const Assignment baseline = layer_of(baselines[best], layer);
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
  const DeviceLatencies latencies(question.profile, question.features);
  const MappingMatrix packed = baseline_mapping(Method::SpeedAware, latencies, question.train);
  const ModelAnswer found = first_optima(world, layer_problems(latencies, trace), packed, question.search);
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
    std::int64_t least = cost_of(all.searched_copies.problems[layer], layer_of(searched.mapping, layer));
    for (const NamedMapping& named : all.mappings) {
      if (named.placed != &all.packed_copies) continue;
      const std::int64_t cost = cost_of(all.packed_copies.problems[layer], layer_of(named.mapping, layer));
      if (cost >= least) continue;
      least = cost;
      std::ranges::copy(named.mapping.row(layer), searched.mapping.row(layer).begin());
      std::ranges::copy(all.packed_copies.copies.row(layer), all.searched_copies.copies.row(layer).begin());
    }
  }
  all.searched_copies.problems = problems_of(*all.latencies, question.train, all.searched_copies.copies);
}

// Chooses the copies, then searches; a time limit is for both, and half of it at most for choosing.
Searched search_with_copies(const Communicator& world, MappingQuestion question, const LoadTrace& trace,
                            Candidates& all) {
  const auto begin = std::chrono::steady_clock::now();
  MappingMatrix without_copies = search_without_copies(world, question, trace);
  SearchOptions choosing = question.search;
  choosing.time_limit_s /= 2.0;
  all.searched_copies.copies = search_copies(world, DeviceLatencies(question.profile, question.features),
                                             question.train, trace, question.redundant_experts, choosing);
  all.searched_copies.problems = problems_of(*all.latencies, question.train, all.searched_copies.copies);
  std::vector<MappingMatrix> first;
  for (Method method : all_methods())
    if (packs_loads(method))
      first.push_back(pack_copies(method, *all.latencies, question.train, all.searched_copies.copies));
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

// Says so where copies do harm: `without` is a mapping without any, `answer` has the scores with them.
std::string describe_harm(const MappingQuestion& question, const Placed& experts, const MappingMatrix& without,
                          const MappingAnswer& answer) {
  const bool tested = question.test.has_value();
  const ComparedMethod& gem = answer.compared.back();
  const double with_s = tested ? gem.test.mean_s : gem.train.mean_s;
  const double without_s = score_of(tested ? experts.test_problems : experts.problems, without).mean_s;
  if (without_s >= with_s) return {};
  return format(
      "\nNote: without redundant experts a quick search finds a mapping that takes %.1f %%\n"
      "less time on the %s: here they do harm, leave --redundant-experts out.\n",
      (1.0 - without_s / with_s) * 100.0, tested ? "steps scored" : "steps searched on");
}

// Scores all mappings and says so, into the answer; the bounds are those of what `placed` says.
void compare(const MappingQuestion& question, const std::vector<NamedMapping>& mappings, const Placed& placed,
             MappingAnswer& answer) {
  for (const NamedMapping& named : mappings)
    answer.compared.push_back({method_name(named.method), score_of(named.placed->problems, named.mapping),
                               score_of(named.placed->test_problems, named.mapping)});
  const auto sum = [](const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); };
  answer.bounds.train_s = sum(answer.mapping.lower_bound_s);
  if (question.test) {
    answer.bounds.test_s = sum(lower_bounds_s(placed.test_problems));
    answer.report +=
        format("Scored on %zu steps of task '%s' (part %s):\n    %s\n", question.test->step_count(),
               question.test->task.c_str(), question.test->part.c_str(), describe(question.relation).c_str());
  }
  answer.report += '\n';
  answer.report += comparison_table(answer.compared, answer.bounds, question.test.has_value(), question.relation);
}

// What a file says of a mapping, bounds aside.
Mapping describe_mapping(const MappingQuestion& question, const NamedMapping& named) {
  const Placed& placed = *named.placed;
  Mapping mapping;
  mapping.method = method_name(named.method);
  mapping.device_count = question.profile.device_count();
  mapping.layer_ids = question.train.layer_ids;
  if (placed.copies.rows() == 0)
    mapping.expert_to_device = named.mapping;
  else
    set_copies(mapping, named.mapping, placed.copies);
  for (std::size_t layer = 0; layer < placed.problems.size(); ++layer)
    mapping.predicted_s.push_back(
        mean_seconds(placed.problems[layer], cost_of(placed.problems[layer], layer_of(named.mapping, layer))));
  mapping.train_steps = question.train.step_count();
  mapping.train_task = question.train.task;
  mapping.train_part = question.train.part;
  return mapping;
}

void add_baselines(const MappingQuestion& question, Candidates& all) {
  const bool has_copies = question.redundant_experts > 0;
  all.latencies.emplace(question.profile, LoadFeatures::TilesAndExperts);
  all.experts.problems = layer_problems(*all.latencies, question.train);
  if (has_copies) {
    all.packed_copies.copies = copies_by_mean_load(question);
    all.packed_copies.problems = problems_of(*all.latencies, question.train, all.packed_copies.copies);
  }
  for (Method method : all_methods()) {
    if (!is_baseline(method)) continue;
    if (has_copies && packs_loads(method))
      all.mappings.push_back(
          {method, pack_copies(method, *all.latencies, question.train, all.packed_copies.copies), &all.packed_copies});
    else
      all.mappings.push_back({method, baseline_mapping(method, *all.latencies, question.train), &all.experts});
  }
  all.mappings.push_back({Method::Paper, paper_mapping(question.profile, question.train), &all.experts});
  if (!has_copies) all.first = first_mappings(question, *all.latencies, all.mappings);
}

}  // namespace

std::string describe_plan(const Communicator& world, const MappingQuestion& question) {
  std::string plan = "Would search " + describe(question) + "\n";
  if (question.method != Method::Gem)
    return plan + "Method " + method_name(question.method) + ": nothing to search for, under a second\n";
  const SearchOptions& options = question.search;
  const LoadTrace trace = with_mixed_steps(question.train, question.mixed_steps, options.seed);
  const DeviceLatencies latencies(question.profile, question.features);
  const std::vector<LayerProblem> one_layer{
      groups_of(question).limited(problems_of(latencies, trace, copies_by_mean_load(question))[0])};
  const auto seconds = [&](std::size_t iterations) {
    const SearchOptions trial{options.seed, 1, iterations, 0.0, false};
    return search_model(
               world, one_layer, [](std::size_t) { return std::vector<Assignment>{}; }, trial)
        .elapsed_s;
  };
  constexpr std::size_t trial_iterations = 20;
  const double descent_s = seconds(0);
  const double iteration_s = std::max(0.0, seconds(trial_iterations) - descent_s) / trial_iterations;
  const double starts_a_rank =
      std::ceil(static_cast<double>(question.train.layer_count() * options.starts) / world.size());
  double total_s = starts_a_rank * (descent_s + iteration_s * static_cast<double>(options.iterations));
  if (question.redundant_experts > 0)  // each way to choose copies, and none
    total_s += std::ceil(static_cast<double>(question.train.layer_count()) / world.size()) * 7.0 * descent_s;
  if (options.time_limit_s > 0.0) total_s = std::min(total_s, options.time_limit_s);
  return plan +
         format("Method gem: on %zu steps, %zu starts a layer, %zu iterations each, seed %llu, %d rank%s: %s%s\n",
                trace.step_count(), options.starts, options.iterations, static_cast<unsigned long long>(options.seed),
                world.size(), world.size() == 1 ? "" : "s", total_s < 1.0 ? "" : "about ",
                format_duration(total_s).c_str());
}

MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question) {
  const bool has_copies = question.redundant_experts > 0, searches = question.method == Method::Gem;
  Candidates all;
  // What the files hold may be beyond the search: all ranks see it alike, and end alike.
  world.on_all([&] { add_baselines(question, all); });
  const Placed& placed = !has_copies ? all.experts : searches ? all.searched_copies : all.packed_copies;
  Searched searched;
  if (searches) {
    const LoadTrace trace = with_mixed_steps(question.train, question.mixed_steps, question.search.seed);
    searched = has_copies ? search_with_copies(world, question, trace, all)
                          : search(world, question, trace, all.experts, all.first);
    all.mappings.push_back({Method::Gem, std::move(searched.mapping), &placed});
  }
  if (searched.lower_bound_s.empty()) searched.lower_bound_s = lower_bounds_s(placed.problems);

  MappingAnswer answer;
  for (const NamedMapping& named : all.mappings) {
    Mapping mapping = describe_mapping(question, named);
    mapping.lower_bound_s = named.placed == &placed ? searched.lower_bound_s : lower_bounds_s(named.placed->problems);
    if (named.method != question.method) {
      answer.others.push_back(std::move(mapping));
      continue;
    }
    mapping.course = searched.course;
    answer.mapping = std::move(mapping);
  }
  if (!world.is_root()) return answer;
  if (question.test)
    for (Placed* each : {&all.experts, &all.packed_copies, &all.searched_copies})
      if (!each->problems.empty()) each->test_problems = problems_of(*all.latencies, *question.test, each->copies);
  answer.report = "Searched on " + describe(question) + "\n" + searched.report;
  answer.report += describe_beyond_measured(question.profile, question.train, answer.mapping);
  compare(question, all.mappings, placed, answer);
  if (has_copies && searches) answer.report += describe_harm(question, all.experts, searched.without_copies, answer);
  return answer;
}

}  // namespace gem
