#include "mapping/cross_validation.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <map>

#include "base/table.hpp"
#include "base/text.hpp"
#include "mapping/mapping_request.hpp"
#include "platform/command_line/progress.hpp"

namespace gem {
namespace {

constexpr double more_leaning[] = {0.5, 1.0};

/// The question asked of some steps and scored on others, without what isn't needed for that.
MappingQuestion part_of(const MappingQuestion& question, const std::vector<std::size_t>& train,
                        const std::vector<std::size_t>& test) {
  MappingQuestion part = question;
  part.train = chosen_steps(question.train, train);
  part.test = chosen_steps(question.train, test);
  part.sample = Sample::LaterSteps;
  part.folds = 0;
  part.certify = false;
  part.run_time = {};
  part.given.clear();
  part.doubts.clear();
  part.search.show_progress = false;
  return part;
}

/// [method] times on the steps kept aside over the reference's, and the names; the same on every rank.
struct Ratios {
  std::vector<std::string> names;
  std::vector<double> values;
};

Ratios ratios_of(const Communicator& world, const MappingQuestion& part) {
  const MappingAnswer answer = find_mapping(world, part);
  Ratios ratios;
  for (const Mapping& mapping : answer.mappings) ratios.names.push_back(mapping.method);
  for (const ComparedMethod& compared : answer.compared)
    ratios.values.push_back(compared.test.mean_s / answer.compared.front().test.mean_s);
  world.broadcast(ratios.values);
  return ratios;
}

class Folds {
 public:
  Folds(const Communicator& world, const MappingQuestion& question)
      : world_(world),
        question_(question),
        fold_count_(fold_count_of(question)),
        folds_(folds_of_steps(question.train, fold_count_)),
        progress_("cross-validate", 3 * fold_count_, question.search.show_progress && world.is_root()) {}

  std::size_t count() const { return fold_count_; }
  /// Whether each fold leaves that many steps and more to search on.
  bool leave(std::size_t steps) const {
    for (std::size_t fold = 0; fold < fold_count_; ++fold)
      if (steps_outside(folds_, fold).size() < steps) return false;
    return true;
  }
  /// All methods, [fold], searched on one part in `divisor` of the steps outside the fold, leaned.
  std::vector<Ratios> run(std::size_t divisor, double lean) {
    std::vector<Ratios> all;
    for (std::size_t fold = 0; fold < fold_count_; ++fold) {
      progress_.update(std::min(done_++, 3 * fold_count_));
      std::vector<std::size_t> train = steps_outside(folds_, fold), test;
      train.resize(train.size() / divisor);
      for (std::size_t step = 0; step < folds_.size(); ++step)
        if (folds_[step] == fold) test.push_back(step);
      MappingQuestion part = part_of(question_, train, test);
      part.lean = lean;
      all.push_back(ratios_of(world_, part));
    }
    return all;
  }

 private:
  const Communicator& world_;
  const MappingQuestion& question_;
  std::size_t fold_count_;
  std::vector<std::size_t> folds_;
  Progress progress_;
  std::size_t done_ = 0;
};

/// [fold] of one method; a method that some fold left out has none.
std::vector<double> of_method(const std::vector<Ratios>& folds, const std::string& name) {
  std::vector<double> values;
  for (const Ratios& fold : folds) {
    const auto found = std::ranges::find(fold.names, name);
    if (found == fold.names.end()) return {};
    values.push_back(fold.values[static_cast<std::size_t>(found - fold.names.begin())]);
  }
  return values;
}

/// Whether the method's mappings are such as are asked for: with as many copies, with groups of experts together, in
/// two levels.
bool is_comparable(const std::string& name, const MappingQuestion& question) {
  const Method method = parse_method(name);
  if (question.redundant_experts > 0) return entry_of(method).places_copies;
  if (method == reference_method()) return true;  // neighbours stay together
  return question.expert_groups == 1 && (question.levels == 1 || entry_of(method).needs_nodes);
}

std::string range_text(const Interval& interval) {
  return fmt::format("{:.3f} - {:.3f}", interval.low, interval.high);
}

std::string table_of(const CrossValidation& validation) {
  Table table({{"method", ""},
               {"expected", "of " + validation.methods.front().name},
               {"95 % interval", ""},
               {"from half", "the steps", 2},
               {"from 1/4", "of them", 1}});
  const auto figure = [](double value) { return value > 0.0 ? fmt::format("{:.3f}", value) : std::string("-"); };
  for (const ValidatedMethod& method : validation.methods) {
    const bool is_reference = &method == &validation.methods.front();
    table.add_row({method.name, figure(method.whole.mean), is_reference ? "" : range_text(method.whole.interval),
                   figure(method.half), figure(method.quarter)});
  }
  return table.to_string();
}

JsonRecord record_of(const CrossValidation& validation) {
  std::vector<JsonRecord> methods;
  for (const ValidatedMethod& method : validation.methods) {
    const auto tried = [](double value) { return value > 0.0 ? std::optional(value) : std::nullopt; };
    methods.push_back(JsonRecord()
                          .add("method", method.name)
                          .add("expected_ratio", method.whole.mean)
                          .add("expected_low", method.whole.interval.low)
                          .add("expected_high", method.whole.interval.high)
                          .add("from_half", tried(method.half))
                          .add("from_quarter", tried(method.quarter)));
  }
  const auto instead = validation.instead ? std::optional(method_name(*validation.instead)) : std::nullopt;
  return JsonRecord()
      .add("folds", validation.fold_count)
      .add("methods", methods)
      .add("lean", validation.lean)
      .add("instead", instead);
}

/// What twice the steps would bring: the last doubling's gain, times how the gains shrank from doubling to doubling.
std::string describe_more_steps(const ValidatedMethod& method) {
  if (method.quarter <= 0.0) return "These steps are too few to tell what a longer trace would bring.";
  const double before = method.quarter - method.half, last = method.half - method.whole.mean;
  if (last <= 0.001) return "A longer trace would bring little: half of the steps gave a mapping as good.";
  const double next = before > last ? last * last / before : last;
  return fmt::format(
      "A trace twice as long would bring {} about {:.1f} % of {}'s time more (the last doublings brought {:.1f} and "
      "{:.1f} %).",
      method.name, 100.0 * next, method_name(reference_method()), 100.0 * before, 100.0 * last);
}

ValidatedMethod* find(std::vector<ValidatedMethod>& methods, const std::string& name) {
  const auto found = std::ranges::find(methods, name, &ValidatedMethod::name);
  return found == methods.end() ? nullptr : &*found;
}

/// Leans as far as brings the method that searches to the best other one, or chooses that. Returns what is to be said.
std::string lean(Folds& folds, const MappingQuestion& question, CrossValidation& validation) {
  const std::string name = method_name(question.method);
  const ValidatedMethod* rival = nullptr;
  for (const ValidatedMethod& method : validation.methods)
    if (method.name != name && is_comparable(method.name, question) &&
        (rival == nullptr || method.whole.mean < rival->whole.mean))
      rival = &method;
  const ValidatedMethod searched = *find(validation.methods, name);
  if (rival == nullptr || searched.whole.mean <= rival->whole.mean) return {};
  std::string text = fmt::format("{} fits these steps too closely: {} is expected at {:.3f}, {} at {:.3f}.", name,
                                 rival->name, rival->whole.mean, name, searched.whole.mean);
  const std::string rival_name = rival->name;
  double best = rival->whole.mean;
  std::optional<ValidatedMethod> leaned;
  for (const double share : more_leaning) {
    if (share <= question.lean) continue;
    const std::vector<double> values = of_method(folds.run(1, share), name);
    const ValidatedMethod tried{fmt::format("{} leaned {:g}", name, share), expectation_of(values), values};
    if (tried.whole.mean < best) {
      best = tried.whole.mean;
      validation.lean = share;
      leaned = tried;
    }
  }
  if (leaned) {
    text += fmt::format(" So it leans by {:g} toward the mean loads: expected at {:.3f}.", validation.lean, best);
    validation.methods.push_back(*leaned);
  } else {
    validation.instead = parse_method(rival_name);
    text += fmt::format(" So the mapping is {}'s.", rival_name);
  }
  return text;
}

std::string describe_too_short(const CrossValidation& validation) {
  const auto is_faster = [](const ValidatedMethod& method) { return method.whole.interval.high < 1.0; };
  if (std::ranges::any_of(validation.methods, is_faster)) return {};
  return fmt::format(
      "The trace is too short to map for: no method is surely faster than {} on steps kept aside. "
      "Record more requests.",
      validation.methods.front().name);
}

}  // namespace

std::vector<std::size_t> folds_of_steps(const LoadTrace& trace, std::size_t fold_count) {
  const OptionName option = option_name(&MappingRequest::cross_validate);
  std::vector<std::size_t> folds;
  if (!trace.request_groups.empty()) {
    const std::size_t group_count = group_count_of(trace);
    if (fold_count > group_count)
      throw option_error(option, "{} {}: the trace has {} groups of requests; give 2 to {}", fold_count, group_count,
                         group_count);
    std::map<std::int32_t, std::size_t> fold_of;  // of each group that there is
    for (const std::int32_t group : trace.request_groups) fold_of[group];
    std::size_t next = 0;
    for (auto& [group, fold] : fold_of) fold = next++ % fold_count;
    for (const std::int32_t group : trace.request_groups) folds.push_back(fold_of[group]);
    return folds;
  }
  if (trace.sequence == "resampled")
    throw option_error(option,
                       "{}: resampled steps have requests in common; make the trace with gem-trace batch {} too",
                       on_command_line("request-groups"));
  if (fold_count > trace.step_count())
    throw option_error(option, "{} {}: the trace has {} steps; give 2 to {}", fold_count, trace.step_count(),
                       trace.step_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step) folds.push_back(step * fold_count / trace.step_count());
  return folds;
}

std::vector<std::size_t> steps_outside(const std::vector<std::size_t>& folds, std::size_t fold) {
  const std::size_t fold_count = *std::ranges::max_element(folds) + 1;
  std::vector<std::size_t> steps;
  for (std::size_t i = 1; i < fold_count; ++i)
    for (std::size_t step = 0; step < folds.size(); ++step)
      if (folds[step] == (fold + i) % fold_count) steps.push_back(step);
  return steps;
}

Expectation expectation_of(const std::vector<double>& of_folds) {
  const auto count = static_cast<double>(of_folds.size());
  const double center = mean(of_folds);
  const double deviation = standard_deviation(of_folds) * std::sqrt(1.0 / count + 1.0 / (count - 1.0));
  const double half_width = student_quantile(0.975, of_folds.size() - 1) * deviation;
  return {center, {center - half_width, center + half_width}};
}

CrossValidation cross_validate(const Communicator& world, const MappingQuestion& question) {
  Folds folds(world, question);
  CrossValidation validation;
  validation.fold_count = folds.count();
  validation.lean = question.lean;
  const bool has_curve = folds.leave(8);
  const std::vector<Ratios> whole = folds.run(1, question.lean);
  const std::vector<Ratios> half = has_curve ? folds.run(2, question.lean) : std::vector<Ratios>{};
  const std::vector<Ratios> quarter = has_curve ? folds.run(4, question.lean) : std::vector<Ratios>{};
  for (const std::string& name : whole.front().names) {
    const std::vector<double> values = of_method(whole, name);
    if (values.empty()) continue;
    ValidatedMethod method{name, expectation_of(values), values};
    if (has_curve && !of_method(half, name).empty()) method.half = mean(of_method(half, name));
    if (has_curve && !of_method(quarter, name).empty()) method.quarter = mean(of_method(quarter, name));
    validation.methods.push_back(method);
  }
  std::vector<std::string> sentences{describe_more_steps(*find(validation.methods, method_name(question.method)))};
  if (entry_of(question.method).searches) sentences.push_back(lean(folds, question, validation));
  sentences.push_back(describe_too_short(validation));
  std::erase(sentences, "");

  const bool by_requests = !question.train.request_groups.empty();
  validation.report =
      wrap(fmt::format("Cross-validated: searched on {} of {} {}, scored on the other, in turn{}", folds.count() - 1,
                       folds.count(), by_requests ? "groups of requests" : "blocks of steps",
                       by_requests ? "" : "; blocks may have requests in common, others may gain less")) +
      "\n\n" + table_of(validation) + "\n";
  for (const std::string& sentence : sentences) validation.report += wrap(sentence) + "\n";
  return validation;
}

MappingAnswer validated_mapping(const Communicator& world, const MappingQuestion& question) {
  if (fold_count_of(question) == 0) return find_mapping(world, question);
  const CrossValidation validation = cross_validate(world, question);
  MappingQuestion advised = question;
  advised.lean = validation.lean;
  advised.instead = validation.instead;
  MappingAnswer answer = find_mapping(world, advised);
  answer.report += "\n" + validation.report;
  answer.validation = record_of(validation);
  return answer;
}

}  // namespace gem
