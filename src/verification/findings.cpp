#include "verification/findings.hpp"

#include <fmt/core.h>

#include <cmath>

#include "base/text.hpp"
#include "verification/block_interval.hpp"

namespace gem {
namespace {

/// What p99 is of fewer than a hundred steps.
std::string quantile_line(const VerificationReport& report) {
  const std::size_t steps = report.mappings[0].compute_s.planes();
  if (steps >= 100) return "";
  return wrap(fmt::format("p99 of {} steps is nearly their slowest; 100 or more steps would show one in a hundred.",
                          steps)) +
         "\n";
}

// What copying experts in every step took.
std::string copies_lines(const VerificationReport& report) {
  std::string lines;
  for (const MappingReplay& replay : report.mappings)
    if (replay.copies)
      lines += wrap(fmt::format(
                   "{} copies {:.1f} experts a layer and step; the last is there after {}{}, of which {} are not "
                   "hidden under the compute of what is at home.",
                   replay.name, replay.copies->count, format_seconds(replay.copies->there_s),
                   replay.copies->predicted_there_s > 0.0
                       ? " (predicted " + format_seconds(replay.copies->predicted_there_s) + ")"
                       : "",
                   format_seconds(replay.copies->exposed_s))) +
               "\n";
  return lines;
}

}  // namespace

Findings findings_of(const VerificationReport& report, std::size_t judged, std::uint64_t seed) {
  Findings findings;
  findings.summaries = summarize(report, seed);
  for (const MappingReplay& replay : report.mappings) findings.waiting.push_back(waiting_of(replay));
  const MappingSummary& summary = findings.summaries[judged];
  findings.verdict = judge(report, summary, output_tolerance(report.weight_dtype));
  if (!report.profile_doubts.empty())
    findings.text = wrap("Warning: the profile is doubtful: " + report.profile_doubts) + "\n\n";
  findings.text += summary_table(report, findings.summaries) + "\n";
  if (report.whole_step) {
    findings.whole_steps = whole_steps(report, seed);
    findings.text += whole_step_table(report, findings.whole_steps) + "\n";
  }
  if (has_step_estimate(report)) {
    findings.estimates = estimate_steps(report, seed);
    findings.text += step_estimate_table(report, findings.estimates) + "\n";
  }
  findings.exchange = exchange_cost_of(report);
  findings.text += quantile_line(report) + copies_lines(report) + exchange_line(report);
  if (const std::string sentence = block_interval_sentence(report, summary); !sentence.empty())
    findings.text += wrap(sentence) + "\n";
  findings.text += prediction_lines(report) + wrap(verdict_sentence(report, summary, findings.verdict)) + "\n";
  return findings;
}

namespace {

JsonRecord mapping_record(const MappingSummary& summary, const MappingReplay& replay) {
  JsonRecord record;
  record.add("mapping", summary.name)
      .add("straggler_s", summary.straggler_s)
      .add("relative", summary.relative)
      .add("relative_low", summary.interval.low)
      .add("relative_high", summary.interval.high)
      .add("relative_block_low", summary.block_interval.low)
      .add("relative_block_high", summary.block_interval.high)
      .add("predicted_s", summary.predicted_s)
      .add("median_error", summary.median_error)
      .add("p50_s", summary.p50_s)
      .add("p90_s", summary.p90_s)
      .add("p99_s", summary.p99_s)
      .add("imbalance", summary.imbalance)
      .add("raw_relative", summary.raw_relative)
      .add("layer_relative", summary.layer_relative);
  if (!std::isnan(summary.layer_relative))
    record.add("layer_relative_low", summary.layer_interval.low)
        .add("layer_relative_high", summary.layer_interval.high)
        .add("exchange_s", mean(sum_of_steps(replay.layer_s)) - summary.straggler_s);
  if (replay.copies)
    record.add("copies", JsonRecord()
                             .add("count", replay.copies->count)
                             .add("there_s", replay.copies->there_s)
                             .add("predicted_there_s", replay.copies->predicted_there_s)
                             .add("exposed_s", replay.copies->exposed_s));
  return record.add("wrong_values", replay.wrong_values)
      .add("checked_values", replay.checked_values)
      .add("output_error", replay.output_error)
      .add("dispatch_s", summary.dispatch_s)
      .add("compute_s", summary.compute_s)
      .add("waiting_s", summary.waiting_s)
      .add("combine_s", summary.combine_s)
      .add("waiting_share", summary.waiting_share)
      .add("moved_bytes", replay.moved_bytes)
      .add("move_s", replay.move_s);
}

void add_times(JsonRecord& record, const std::string& prefix, const TimesPerToken& times) {
  record.add(prefix + "mean_s", times.mean_s)
      .add(prefix + "p50_s", times.p50_s)
      .add(prefix + "p90_s", times.p90_s)
      .add(prefix + "p99_s", times.p99_s)
      .add(prefix + "relative", times.relative)
      .add(prefix + "relative_low", times.interval.low)
      .add(prefix + "relative_high", times.interval.high);
}

JsonRecord whole_step_record(const WholeStep& step, const StepSetting& setting) {
  JsonRecord record;
  record.add("mapping", step.name);
  add_times(record, "", step.step);
  if (setting.output_tokens > 0) add_times(record, "output_", step.output);
  return record.add("above_balanced", step.above_balanced)
      .add("predicted_s", step.predicted_s)
      .add("median_error", step.median_error)
      .add("shares", JsonRecord()
                         .add("attention_s", step.shares.attention_s)
                         .add("experts_s", step.shares.experts_s)
                         .add("shared_s", step.shares.shared_s)
                         .add("exchange_s", step.shares.exchange_s)
                         .add("waiting_s", step.shares.waiting_s)
                         .add("tail_s", step.shares.tail_s));
}

JsonRecord setting_record(const StepSetting& setting) {
  return JsonRecord()
      .add("rest", setting.rest)
      .add("context", setting.context)
      .add("output_tokens", setting.output_tokens)
      .add("moe_layers", setting.moe_layers)
      .add("dense_layers", setting.dense_layers)
      .add("exchange_fixed_s", setting.exchange_fixed_s)
      .add("exchange_row_s", setting.exchange_row_s);
}

}  // namespace

JsonRecord findings_record(const VerificationReport& report, const Findings& findings, std::size_t judged) {
  std::vector<JsonRecord> mappings;
  for (std::size_t m = 0; m < findings.summaries.size(); ++m)
    mappings.push_back(mapping_record(findings.summaries[m], report.mappings[m]));
  const DeviceErrors errors = device_errors(report);
  JsonRecord record;
  record.add("model", report.model)
      .add("task", report.task)
      .add("device_kind", report.device_kind)
      .add("device_note", report.device_note)
      .add("device_difference", report.device_difference)
      .add("sample", report.sample_note)
      .add("tokens_per_step", report.tokens_per_step)
      .add("first_step", report.first_step)
      .add("steps", report.mappings.front().compute_s.planes())
      .add("rounds", report.rounds)
      .add("layers", report.layer_ids)
      .add("mappings", mappings)
      .add("device_error_median", errors.median)
      .add("device_error_common", errors.common)
      .add("device_error_beside", errors.beside)
      .add("profile_doubts", report.profile_doubts);
  std::vector<JsonRecord> steps;
  for (std::size_t m = 0; m < findings.estimates.size(); ++m) {
    const StepEstimate& estimate = findings.estimates[m];
    steps.push_back(JsonRecord()
                        .add("mapping", report.mappings[m].name)
                        .add("moe_s", estimate.moe_s)
                        .add("rest_s", estimate.rest_s)
                        .add("step_s", estimate.step_s)
                        .add("relative", estimate.relative)
                        .add("relative_low", estimate.relative_low)
                        .add("relative_high", estimate.relative_high));
  }
  if (!steps.empty()) record.add("whole_model", steps);
  if (report.whole_step) {
    std::vector<JsonRecord> whole;
    for (const WholeStep& step : findings.whole_steps) whole.push_back(whole_step_record(step, *report.whole_step));
    record.add("whole_steps", whole).add("whole_step_setting", setting_record(*report.whole_step));
  }
  if (const std::optional<ExchangeLaw>& cost = findings.exchange)
    record.add("exchange", JsonRecord()
                               .add("mean_s", cost->mean_s)
                               .add("fixed_s", cost->fixed_s)
                               .add("row_s", cost->row_s)
                               .add("explained", cost->explained));
  const MappingSummary& summary = findings.summaries[judged];
  return record.add("judged", summary.name)
      .add("verdict", verdict_word(findings.verdict))
      .add("sentence", verdict_sentence(report, summary, findings.verdict));
}

}  // namespace gem
