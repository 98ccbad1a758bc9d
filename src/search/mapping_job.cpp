#include "search/mapping_job.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "base/text.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

std::string shape_of(const MappingQuestion& question) {
  const LoadTrace& trace = question.train;
  return format("%zu layers x %zu experts on %zu devices, %zu steps of task '%s' (part %s)", trace.layer_count(),
                trace.expert_count(), question.profile.device_count(), trace.step_count(), trace.task.c_str(),
                trace.part.c_str());
}

std::vector<double> lower_bounds_s(const std::vector<LayerProblem>& problems) {
  const WaterFilling water_filling(problems[0].tables());
  std::vector<double> bounds;
  for (const LayerProblem& problem : problems) bounds.push_back(mean_seconds(problem, water_filling.bound(problem)));
  return bounds;
}

double sum(const std::vector<double>& values) {
  double total = 0.0;
  for (double value : values) total += value;
  return total;
}

// A layer's baselines, the best first, so that even the first start leaves none of them better.
std::vector<Assignment> first_starts(const std::vector<LayerProblem>& problems,
                                     const std::vector<Matrix<std::int32_t>>& baselines, std::size_t layer) {
  std::vector<std::pair<std::int64_t, std::size_t>> ranked;
  std::vector<Assignment> starts;
  for (const Matrix<std::int32_t>& baseline : baselines) {
    starts.emplace_back(baseline.row(layer).begin(), baseline.row(layer).end());
    ranked.emplace_back(cost_of(problems[layer], starts.back()), ranked.size());
  }
  std::swap(starts[0], starts[std::min_element(ranked.begin(), ranked.end())->second]);
  return starts;
}

}  // namespace

LoadFeatures parse_features(const std::string& name) {
  if (name == "tiles") return LoadFeatures::TilesAndExperts;
  if (name == "tokens") return LoadFeatures::Tokens;
  throw UsageError("--features: '" + name + "' is neither tiles nor tokens");
}

SearchOptions options_of_effort(const std::string& name) {
  SearchOptions options;
  if (name == "fast") {
    options.starts = 1;
    options.iterations = 0;
  } else if (name == "thorough") {
    options.starts = 16;
    options.iterations = 2000;
  } else if (name != "default") {
    throw UsageError("--effort: '" + name + "' is none of fast, default, thorough");
  }
  return options;
}

void prepare(MappingQuestion& question, const Selection& selection) {
  LatencyProfile& profile = question.profile;
  LoadTrace& train = question.train;
  if (!selection.allow_model_mismatch && to_lower(profile.model) != to_lower(train.model))
    throw UsageError(
        format("the profile is of model '%s', the trace of '%s'; measure the devices with gem-profile --model %s, "
               "or use --allow-model-mismatch if the experts have the same shape",
               profile.model.c_str(), train.model.c_str(), train.model.c_str()));
  if (selection.devices > 0) profile = first_devices(profile, selection.devices);
  if (selection.equal_devices) profile = equal_devices(profile);
  check_divisible(train.expert_count(), profile.device_count());

  if (question.test) {
    const LoadTrace& test = *question.test;
    if (test.layer_ids != train.layer_ids || test.expert_count() != train.expert_count() ||
        to_lower(test.model) != to_lower(train.model))
      throw UsageError(
          format("the test trace ('%s', %zu layers, %zu experts) is not of the model that is searched on ('%s', "
                 "%zu layers, %zu experts)",
                 test.model.c_str(), test.layer_count(), test.expert_count(), train.model.c_str(), train.layer_count(),
                 train.expert_count()));
    question.relation = relation_of(train, test);
  }
  if (selection.train_steps == 0) return;
  const std::size_t rest = train.step_count() - std::min(train.step_count(), selection.train_steps);
  if (!question.test && rest > 0) {
    question.test = steps_of(train, selection.train_steps, rest);
    question.relation = HeldOut::LaterSteps;
  }
  train = steps_of(train, 0, selection.train_steps);
}

void share(const Communicator& world, MappingQuestion& question) {
  broadcast_profile(world, question.profile);
  broadcast_trace(world, question.train);
  if (world.broadcast(std::int32_t{question.test ? 1 : 0}) == 0) return;
  if (!question.test) question.test.emplace();
  broadcast_trace(world, *question.test);
  question.relation = static_cast<HeldOut>(world.broadcast(static_cast<std::int32_t>(question.relation)));
}

std::string describe_plan(const Communicator& world, const MappingQuestion& question) {
  std::string plan = "Would search " + shape_of(question) + "\n";
  if (question.method != Method::Gem)
    return plan + "Method " + method_name(question.method) + ": no search, under a second\n";
  const SearchOptions& search = question.search;
  const DeviceLatencies latencies(question.profile, question.features);
  LoadTrace one_layer = question.train;
  one_layer.layer_ids.resize(1);
  one_layer.counts = Cube<std::uint32_t>(question.train.step_count(), 1, question.train.expert_count());
  for (std::size_t t = 0; t < one_layer.step_count(); ++t)
    std::copy_n(question.train.counts.row(t, 0).begin(), one_layer.expert_count(), one_layer.counts.row(t, 0).begin());
  const auto problems = layer_problems(latencies, one_layer);
  const auto seconds = [&](std::size_t iterations) {
    SearchOptions trial{search.seed, 1, iterations, 0.0, false};
    return search_model(
               world, problems, [](std::size_t) { return std::vector<Assignment>{}; }, trial)
        .elapsed_s;
  };
  constexpr std::size_t trial_iterations = 20;
  const double descent_s = seconds(0);
  const double iteration_s = std::max(0.0, seconds(trial_iterations) - descent_s) / trial_iterations;
  const double layers_a_rank =
      std::ceil(static_cast<double>(question.train.layer_count() * search.starts) / world.size());
  double total_s = layers_a_rank * (descent_s + iteration_s * static_cast<double>(search.iterations));
  if (search.time_limit_s > 0.0) total_s = std::min(total_s, search.time_limit_s);
  return plan + format("Method gem: %zu starts a layer, %zu iterations each, seed %llu, on %d ranks: about %s\n",
                       search.starts, search.iterations, static_cast<unsigned long long>(search.seed), world.size(),
                       format_duration(total_s).c_str());
}

MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question) {
  // Judged on the surface, whatever is searched on.
  const DeviceLatencies latencies(question.profile, LoadFeatures::TilesAndExperts);
  const std::vector<LayerProblem> problems = layer_problems(latencies, question.train);
  std::vector<LayerProblem> test_problems;
  if (question.test) test_problems = layer_problems(latencies, *question.test);

  std::vector<Method> methods;
  std::vector<Matrix<std::int32_t>> mappings;
  for (Method method : all_methods()) {
    if (method == Method::Gem) continue;
    methods.push_back(method);
    mappings.push_back(baseline_mapping(method, latencies, question.train));
  }
  std::string search_line;
  if (question.method == Method::Gem) {
    const bool on_surface = question.features == LoadFeatures::TilesAndExperts;
    const std::vector<LayerProblem> searched =
        on_surface ? problems : layer_problems(DeviceLatencies(question.profile, question.features), question.train);
    const ModelAnswer found = search_model(
        world, searched, [&](std::size_t layer) { return first_starts(searched, mappings, layer); }, question.search);
    Matrix<std::int32_t> mapping(problems.size(), problems[0].expert_count());
    for (std::size_t layer = 0; layer < problems.size(); ++layer)
      std::copy(found.layers[layer].assignment.begin(), found.layers[layer].assignment.end(),
                mapping.row(layer).begin());
    methods.push_back(Method::Gem);
    mappings.push_back(std::move(mapping));
    search_line = format(
        "Search: %zu starts, %zu iterations in %s on %d rank%s; %.3g candidate-steps/s, of them evaluated %.3g/s%s\n",
        found.starts_run, found.iterations_run, format_seconds(found.elapsed_s).c_str(), world.size(),
        world.size() == 1 ? "" : "s", static_cast<double>(found.work.candidate_steps) / found.elapsed_s,
        static_cast<double>(found.work.evaluated_steps) / found.elapsed_s,
        question.search.time_limit_s > 0.0 ? " (time limit: not repeatable)" : "");
  }

  MappingAnswer answer;
  const auto chosen =
      static_cast<std::size_t>(std::find(methods.begin(), methods.end(), question.method) - methods.begin());
  Mapping& mapping = answer.mapping;
  mapping.method = method_name(question.method);
  mapping.device_count = question.profile.device_count();
  mapping.layer_ids = question.train.layer_ids;
  mapping.expert_to_device = mappings[chosen];
  mapping.lower_bound_s = lower_bounds_s(problems);
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    const auto row = mappings[chosen].row(layer);
    mapping.predicted_s.push_back(
        mean_seconds(problems[layer], cost_of(problems[layer], Assignment(row.begin(), row.end()))));
  }
  mapping.train_steps = question.train.step_count();
  mapping.train_task = question.train.task;
  mapping.train_part = question.train.part;
  if (!world.is_root()) return answer;

  std::vector<ComparedMethod> compared;
  for (std::size_t m = 0; m < methods.size(); ++m)
    compared.push_back(
        {method_name(methods[m]), score_of(problems, mappings[m]), score_of(test_problems, mappings[m])});
  Bounds bounds{sum(mapping.lower_bound_s), 0.0};
  answer.report = "Searched on " + shape_of(question) + "\n";
  if (question.test) {
    bounds.test_s = sum(lower_bounds_s(test_problems));
    answer.report +=
        format("Scored on %zu steps of task '%s' (part %s): %s\n", question.test->step_count(),
               question.test->task.c_str(), question.test->part.c_str(), describe(question.relation).c_str());
  }
  answer.report +=
      search_line + "\n" + comparison_table(compared, bounds, question.test.has_value(), question.relation);
  return answer;
}

}  // namespace gem
