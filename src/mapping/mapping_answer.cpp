#include "mapping/mapping_answer.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_report.hpp"
#include "mapping/measured_range.hpp"
#include "mapping/method_task.hpp"
#include "mapping/run_time_rows.hpp"

namespace gem {
namespace {

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// What a file says of a mapping, bounds aside; its times are of the profiled stage alone: what replays measure, and
// shared experts where they are counted.
void complete(Mapping& mapping, Method method, const MappingQuestion& question, MappingCosts& costs) {
  mapping.method = method_name(method);
  mapping.layer_ids = question.train.layer_ids;
  mapping.predicted_s = costs.stage_s(mapping, profiled_stage);
  mapping.train_steps = question.train.step_count();
  mapping.train_task = question.train.task;
  mapping.train_part = question.train.part;
  mapping.device_kind = question.profile.device_kind;
  mapping.devices = question.profile.devices;
  mapping.program = question.profile.program;
}

// What a method finds; nothing where it can't, with a note, unless it is needed. What files hold may be beyond a
// method: all ranks see it alike, and go on or end alike.
std::optional<MethodResult> run_method(Method method, const MethodTask& task, std::string& notes) {
  const MethodEntry& entry = entry_of(method);
  if (entry.searches) return entry.run(task);
  std::optional<MethodResult> result;
  const std::vector<Method>& wanted = task.question.wanted;
  const bool needed = method == task.question.method || method == reference_method() ||
                      std::ranges::find(wanted, method) != wanted.end();
  try {
    task.world.on_all([&] { result = entry.run(task); });
  } catch (const Error& error) {
    if (needed) throw;
    notes += describe_left_out(method, error.what());
  }
  return result;
}

// Bounds of mappings without copies and with; all mappings with copies have as many.
class BoundsOf {
 public:
  explicit BoundsOf(MappingCosts& costs) : costs_(costs) {}
  LowerBounds& like(const Mapping& mapping) {
    std::optional<LowerBounds>& bounds = bounds_[mapping.redundant_count() > 0 ? 1 : 0];
    if (!bounds) bounds = costs_.lower_bounds(mapping);
    return *bounds;
  }

 private:
  MappingCosts& costs_;
  std::array<std::optional<LowerBounds>, 2> bounds_;
};

void score(const MappingQuestion& question, MappingCosts& costs, MappingAnswer& answer) {
  std::optional<MappingCosts> on_test;
  if (question.test) on_test.emplace(costs.model(), *question.test);
  for (const std::vector<Mapping>* mappings : {&std::as_const(answer.mappings), &question.given})
    for (const Mapping& mapping : *mappings)
      answer.compared.push_back({mapping.method, costs.score(mapping), on_test ? on_test->score(mapping) : Score{}});
  if (on_test) answer.bounds.test_s = sum(on_test->lower_bounds(answer.mapping()).layer_s);
}

}  // namespace

MappingAnswer find_mapping(const Communicator& world, const MappingQuestion& question) {
  CostOptions judged_by = question.cost;
  judged_by.features = LoadFeatures::TilesAndExperts;
  std::optional<MappingCosts> costs;
  world.on_all([&] { costs.emplace(CostModel(question.profile, judged_by), question.train); });
  BoundsOf bounds(*costs);

  MappingAnswer answer;
  std::string found, notes;
  for (const Method method : all_methods()) {
    const bool has_to_be_asked = entry_of(method).searches || entry_of(method).by_name_only;
    if (has_to_be_asked && method != question.method) continue;
    if (entry_of(method).needs_nodes && !has_nodes(question.profile)) continue;
    std::optional<MethodResult> result = run_method(method, {world, question, *costs, answer.mappings}, notes);
    if (!result) continue;
    complete(result->mapping, method, question, *costs);
    if (method == question.method) answer.chosen = answer.mappings.size();
    if (!result->lower_bound_s.empty()) {
      LowerBounds& proven = bounds.like(result->mapping);
      proven.layer_s = result->lower_bound_s;
      if (costs->model().stage_count() == 1) proven.profiled_s = result->lower_bound_s;
    }
    found += result->report;
    answer.mappings.push_back(std::move(result->mapping));
  }
  for (Mapping& mapping : answer.mappings) mapping.lower_bound_s = bounds.like(mapping).profiled_s;
  answer.bounds.train_s = sum(bounds.like(answer.mapping()).layer_s);
  if (!world.is_root()) return answer;
  score(question, *costs, answer);
  const RunTimeRows run_time = run_time_rows(question, costs->model(), answer.mappings, answer.mapping());
  answer.compared.insert(answer.compared.end(), run_time.rows.begin(), run_time.rows.end());
  answer.report = warning_lines(question.doubts) + contradiction_warning(question.train) + "Searched on " +
                  describe_question(question) + "\n" + found +
                  describe_beyond_measured(question.profile, question.train, answer.mapping()) + notes +
                  describe_comparison(question, answer.compared, answer.bounds) + run_time.notes;
  return answer;
}

}  // namespace gem
