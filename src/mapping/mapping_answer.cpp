#include "mapping/mapping_answer.hpp"

#include <numeric>
#include <optional>

#include "mapping/copy_search.hpp"
#include "mapping/gem_method.hpp"
#include "mapping/mapping_report.hpp"
#include "mapping/measured_range.hpp"
#include "search/redundant_experts.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

// [layer] what no mapping is below on the steps of `trace`, which `problems` are made of; with copies, whichever
// experts have them. Of all stages, or of one.
std::vector<double> lower_bounds_s(const CostModel& model, const LoadTrace& trace,
                                   const std::vector<LayerProblem>& problems, std::optional<std::size_t> stage = {}) {
  const bool has_copies = problems[0].has_copies();
  std::vector<LayerCost> without_copies;
  if (has_copies) without_copies = bounding_layer_costs(model, trace, problems[0].slots());
  const auto layer = [&](std::size_t index) -> const LayerCost& {
    return has_copies ? without_copies[index] : static_cast<const LayerCost&>(problems[index]);
  };
  const WaterFilling water_filling(layer(0).tables(), 0, !has_copies);
  std::vector<double> bounds;
  for (std::size_t l = 0; l < problems.size(); ++l)
    bounds.push_back(
        mean_seconds(layer(l), stage ? water_filling.stage_bound(layer(l), *stage) : water_filling.bound(layer(l))));
  return bounds;
}

// What a file says of a mapping, bounds aside; its times are of the profiled stage alone, as replays measure them.
Mapping mapping_of(const MappingQuestion& question, const NamedMapping& named) {
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
        stage_seconds(placed.problems[layer], assignment_of(named.mapping, layer), profiled_stage));
  mapping.train_steps = question.train.step_count();
  mapping.train_task = question.train.task;
  mapping.train_part = question.train.part;
  return mapping;
}

// Scores of all candidates, and what none can be below, of which `train_bounds_s` [layer] are known; `placed` is what
// the method asked for places.
void score(const MappingQuestion& question, Candidates& all, const Placed& placed,
           const std::vector<double>& train_bounds_s, MappingAnswer& answer) {
  if (question.test)
    for (Placed* each : {&all.experts, &all.packed_copies, &all.searched_copies})
      if (!each->problems.empty()) each->test_problems = problems_of(all.cost_model, *question.test, each->copies);
  for (const NamedMapping& named : all.mappings)
    answer.compared.push_back({method_name(named.method), score_of(named.placed->problems, named.mapping),
                               score_of(named.placed->test_problems, named.mapping)});
  const auto sum = [](const std::vector<double>& values) { return std::accumulate(values.begin(), values.end(), 0.0); };
  answer.bounds.train_s = sum(train_bounds_s);
  if (question.test) answer.bounds.test_s = sum(lower_bounds_s(all.cost_model, *question.test, placed.test_problems));
}

}  // namespace

MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question) {
  const bool has_copies = question.redundant_experts > 0, searches = question.method == Method::Gem;
  std::optional<Candidates> candidates;
  // What the files hold may be beyond the search: all ranks see it alike, and end alike.
  world.on_all([&] { candidates.emplace(question); });
  Candidates& all = *candidates;
  const Placed& placed = !has_copies ? all.experts : searches ? all.searched_copies : all.packed_copies;
  Searched searched;
  if (searches) {
    searched = search_mapping(world, question, all);
    all.mappings.push_back({Method::Gem, std::move(searched.mapping), &placed});
  }
  if (searched.lower_bound_s.empty())
    searched.lower_bound_s = lower_bounds_s(all.cost_model, question.train, placed.problems);

  MappingAnswer answer;
  for (const NamedMapping& named : all.mappings) {
    Mapping mapping = mapping_of(question, named);
    mapping.lower_bound_s =
        named.placed == &placed && question.exchange_row_s == 0.0
            ? searched.lower_bound_s
            : lower_bounds_s(all.cost_model, question.train, named.placed->problems, profiled_stage);
    if (named.method != question.method) {
      answer.others.push_back(std::move(mapping));
      continue;
    }
    mapping.course = searched.course;
    answer.mapping = std::move(mapping);
  }
  if (!world.is_root()) return answer;
  score(question, all, placed, searched.lower_bound_s, answer);
  answer.report = "Searched on " + describe_question(question) + "\n" + searched.report +
                  describe_beyond_measured(question.profile, question.train, answer.mapping) +
                  describe_comparison(question, answer.compared, answer.bounds);
  if (has_copies && searches) {
    const Score& gem = question.test ? answer.compared.back().test : answer.compared.back().train;
    const std::vector<LayerProblem>& problems = question.test ? all.experts.test_problems : all.experts.problems;
    answer.report += describe_harm(question, gem.mean_s, score_of(problems, searched.without_copies).mean_s);
  }
  return answer;
}

}  // namespace gem
