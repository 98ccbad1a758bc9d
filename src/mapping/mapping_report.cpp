#include "mapping/mapping_report.hpp"

#include <fmt/core.h>
#include <algorithm>

#include "base/text.hpp"
#include "mapping/mapping_request.hpp"
#include "mapping/mixed_steps.hpp"

namespace gem {

std::string describe_search(const MappingQuestion& question, const ModelAnswer& found, std::size_t step_count,
                            int rank_count) {
  std::string text =
      fmt::format("Search: {} starts, {} iterations in {} on {} rank{}{}\n", found.starts_run, found.iterations_run,
                  format_seconds(found.elapsed_s), rank_count, rank_count == 1 ? "" : "s",
                  question.search.time_limit_s > 0.0 ? " (time limit: not repeatable)" : "");
  text += fmt::format("        {:.3g} candidate-steps/s, of which {:.3g}/s had to be evaluated\n",
                      static_cast<double>(found.work.candidate_steps) / found.elapsed_s,
                      static_cast<double>(found.work.evaluated_steps) / found.elapsed_s);
  const std::size_t own = question.train.step_count();
  if (step_count > own) {
    const std::size_t copies = own_step_copies(own, step_count);
    text += fmt::format("        on {} steps: {}the trace's own {}, and {} mixtures of them\n", step_count,
                        copies == 1 ? "" : fmt::format("{} times ", copies), own, step_count - copies * own);
  }
  return text;
}

std::string describe_copies(const MappingQuestion& question, const CopyCounts& copies) {
  const std::int32_t max_copies = *std::max_element(copies.values().begin(), copies.values().end());
  const double share = static_cast<double>(question.redundant_experts) / static_cast<double>(copies.columns());
  return fmt::format(
      "        {} redundant experts a layer (+{:.0f} % of the experts' weights), at most\n"
      "        {} copies of one; of the methods compared,\n"
      "        {} place copies\n",
      question.redundant_experts, share * 100.0, max_copies,
      names_of(&MethodEntry::places_copies, " and ", has_nodes(question.profile),
               entry_of(question.method).by_name_only));
}

std::string describe_comparison(const MappingQuestion& question, const std::vector<ComparedMethod>& compared,
                                const Bounds& bounds) {
  std::string text;
  if (question.test)
    text = fmt::format("Scored on {} steps of task '{}' (part {}):\n    {}\n", question.test->step_count(),
                       question.test->task, question.test->part, describe_sample(question.sample));
  const CostModel model = cost_model_of(question);
  if (model.stage_count() > 1) {
    std::vector<std::string> stages;
    for (std::size_t s = 0; s < model.stage_count(); ++s) stages.push_back(model.stage(s).describe());
    text += wrap("Times are the sum of " + join(stages, " and ")) + "\n";
  }
  for (const std::string& note : {question.shared_note, question.exchange_note})
    if (!note.empty()) text += wrap(note) + "\n";
  return text + "\n" + comparison_table(compared, bounds, question.test.has_value(), question.sample);
}

std::string describe_left_out(Method method, const std::string& reason) {
  return wrap(fmt::format("Note: method {} is left out of the table: {}", method_name(method), reason)) + "\n";
}

std::string describe_harm(const MappingQuestion& question, double with_s, double without_s) {
  if (without_s >= with_s) return {};
  return "\n" +
         wrap(fmt::format(
             "Note: without redundant experts a quick search finds a mapping that takes {:.1f} % less time on "
             "the {}: here they do harm, leave {} out.",
             (1.0 - without_s / with_s) * 100.0, question.test ? "steps scored" : "steps searched on",
             option_name(&MappingRequest::redundant_experts))) +
         "\n";
}

}  // namespace gem
