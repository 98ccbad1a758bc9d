#include "adaptation/adaptation_report.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "adaptation/policies.hpp"
#include "base/table.hpp"
#include "base/text.hpp"

namespace gem {
namespace {

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

// Neighbouring steps are alike, and a pause belongs to the steps that it was for: an interval is over blocks.
constexpr std::size_t block_steps = 16;

std::size_t index_of(const AdaptationReport& report, const std::string& policy) {
  return static_cast<std::size_t>(std::ranges::find(report.policies, policy) - report.policies.begin());
}

std::vector<double> with_pauses(const AdaptationReport& report, std::size_t policy) {
  std::vector<double> seconds(report.step_s.row(policy).begin(), report.step_s.row(policy).end());
  for (std::size_t step = 0; step < seconds.size(); ++step) seconds[step] += report.pause_s(policy, step);
  return seconds;
}

std::vector<double> blocks_of(const std::vector<double>& values) {
  std::vector<double> blocks((values.size() + block_steps - 1) / block_steps, 0.0);
  for (std::size_t i = 0; i < values.size(); ++i) blocks[i / block_steps] += values[i];
  return blocks;
}

// [change] until the policy's first move after it and before the next.
std::vector<double> reactions_of(const AdaptationReport& report, std::size_t policy) {
  std::vector<double> reactions(report.changes.size(), unknown);
  for (std::size_t c = 0; c < reactions.size(); ++c) {
    const auto begin = static_cast<std::size_t>(report.changes[c]);
    const std::size_t end =
        c + 1 < report.changes.size() ? static_cast<std::size_t>(report.changes[c + 1]) : report.step_count();
    for (std::size_t step = end; step-- > begin;)
      if (report.moved(policy, step) > 0) reactions[c] = static_cast<double>(step - begin);
  }
  return reactions;
}

double median_of_known(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  return values.empty() ? unknown : median(values);
}

double sum_of(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

// What was checked of devices that compute, and what moves really took; empty where moves are priced.
std::string live_text(const AdaptationReport& report, const std::vector<PolicySummary>& summaries) {
  if (report.moving.empty()) return "";
  std::string text = fmt::format("Moves: weights really moved, of {} {} steps{}; ", judged_policy,
                                 report.moving == "during" ? "during" : "between",
                                 report.device_note.empty() ? "" : " (" + report.device_note + ")");
  for (std::size_t p = 0; p < summaries.size(); ++p)
    if (summaries[p].moved > 0)
      text += fmt::format("of {} steps stood still for {} an expert, ", report.policies[p],
                          format_seconds(summaries[p].move_s));
  text += fmt::format("policies had priced {}.", format_seconds(report.move_s));
  const std::int64_t checked = *std::ranges::max_element(report.checked_values);
  const std::int64_t unequal = *std::ranges::max_element(report.unequal_values);
  const double error = *std::ranges::max_element(report.output_error);
  return wrap(text) + "\n" +
         wrap(fmt::format("Outputs: {} compared of each policy with those without moves, before, during and after "
                          "moves; {} differ; greatest relative difference {:.1e}, tolerated {:.0e}",
                          checked, unequal == 0 ? "none" : fmt::format("{} at the most", unequal), error,
                          report.output_tolerance)) +
         "\n";
}

std::string or_dash(double value, int digits, const char* unit = "") {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}{}", value, digits, unit);
}

// How many steps after each change each policy that moves at all did so first; of the first changes, if there are many.
std::string reaction_table(const AdaptationReport& report, const std::vector<PolicySummary>& summaries) {
  constexpr std::size_t most_rows = 12;
  std::vector<Table::Column> columns{{"change", "at step"}};
  std::vector<std::size_t> movers;
  for (std::size_t p = 0; p < summaries.size(); ++p) {
    if (summaries[p].moved == 0) continue;
    movers.push_back(p);
    const std::vector<std::string> words = split(report.policies[p], ' ');
    columns.push_back({words.front(), words.size() > 1 ? words.back() : ""});
  }
  if (movers.empty() || report.changes.empty()) return "";
  Table table(columns);
  for (std::size_t c = 0; c < std::min(most_rows, report.changes.size()); ++c) {
    std::vector<std::string> row{fmt::format("{}", report.changes[c])};
    for (const std::size_t p : movers) row.push_back(or_dash(summaries[p].reactions[c], 0));
    table.add_row(row);
  }
  return "\nSteps until the first move after each change:\n" + table.to_string();
}

// The judged policy begins with the reference's placement. Where it moved nothing, two runs of one placement are
// compared, whose devices hold their weights at other addresses: then an interval beside 1 is no difference of the
// policies.
std::string word_for(const PolicySummary& judged) {
  if (judged.moved == 0) return "NOT WORSE";
  return judged.interval.low > 1.0 ? "SLOWER" : judged.interval.high < 1.0 ? "FASTER" : "NOT WORSE";
}

std::string verdict_sentence(const AdaptationReport& report, const PolicySummary& judged) {
  const std::string devices =
      fmt::format("({} devices, moves are {})", report.device_kind, report.moving.empty() ? "priced" : "measured");
  const std::string interval = fmt::format("95 % interval {:.4f} to {:.4f}", judged.interval.low, judged.interval.high);
  if (judged.moved == 0)
    return fmt::format(
        "{} moved nothing, so nothing could be won: its placement is that of {} in every step. Its time was {:.4f} of "
        "the other's, {} {}, which is how far two runs of one placement differ.",
        judged_policy, reference_policy, judged.relative, interval, devices);
  const std::string moved =
      report.expert_bytes == 0
          ? fmt::format("{} experts", judged.moved)
          : format_bytes(static_cast<double>(judged.moved) * static_cast<double>(report.expert_bytes));
  return fmt::format(
      "{} takes {:.4f} of {}'s time, its moves included, {} {}; {} moved before {} steps. Regret "
      "against the oracle: {}, {:.1f} % of its time.",
      judged_policy, judged.relative, reference_policy, interval, devices, moved, judged.remappings,
      format_seconds(judged.regret_s), 100.0 * judged.regret_s / judged.total_s);
}

}  // namespace

std::vector<PolicySummary> summarize(const AdaptationReport& report, std::uint64_t seed) {
  const std::size_t reference = index_of(report, reference_policy), oracle = index_of(report, oracle_policy);
  std::vector<PolicySummary> summaries;
  const std::vector<double> reference_blocks = blocks_of(with_pauses(report, reference));
  for (std::size_t p = 0; p < report.policy_count(); ++p) {
    const std::vector<double> seconds = with_pauses(report, p);
    PolicySummary summary;
    summary.total_s = std::accumulate(seconds.begin(), seconds.end(), 0.0);
    summary.mean_s = mean(seconds);
    summary.p99_s = quantile(seconds, 0.99);
    summary.worst_s = *std::ranges::max_element(seconds);
    for (const std::uint32_t moved : report.moved.row(p)) {
      summary.moved += moved;
      summary.remappings += moved > 0 ? 1 : 0;
    }
    summary.interval = bootstrap_ratio(blocks_of(seconds), reference_blocks, seed);
    summary.reactions = reactions_of(report, p);
    summary.reaction_steps = median_of_known(summary.reactions);
    summary.move_s = summary.moved > 0 ? sum_of(report.pause_s.row(p)) / static_cast<double>(summary.moved) : unknown;
    summary.exchange_s = report.exchange_s.rows() > 0 ? sum_of(report.exchange_s.row(p)) : unknown;
    summaries.push_back(summary);
  }
  const double reference_s = summaries[reference].total_s, oracle_s = summaries[oracle].total_s,
               won_s = reference_s - oracle_s;
  for (PolicySummary& summary : summaries) {
    summary.relative = summary.total_s / reference_s;
    summary.regret_s = summary.total_s - oracle_s;
    summary.recovered = won_s > 0.0 ? (reference_s - summary.total_s) / won_s : unknown;
  }
  return summaries;
}

AdaptationFindings findings_of(const AdaptationReport& report, std::uint64_t seed) {
  const std::vector<PolicySummary> summaries = summarize(report, seed);
  Table table({{"policy", ""},
               {"total", "s"},
               {"of static", "gem"},
               {"p99", "ms", 2},
               {"worst", "ms", 1},
               {"moved", "experts"},
               {"re-", "mapped", 3},
               {"oracle's", "gain %"},
               {"reacts", "steps"}});
  for (std::size_t p = 0; p < summaries.size(); ++p) {
    const PolicySummary& summary = summaries[p];
    table.add_row({report.policies[p], fmt::format("{:.3f}", summary.total_s), fmt::format("{:.4f}", summary.relative),
                   fmt::format("{:.3f}", summary.p99_s * 1e3), fmt::format("{:.2f}", summary.worst_s * 1e3),
                   fmt::format("{}", summary.moved), fmt::format("{}", summary.remappings),
                   or_dash(summary.recovered * 100.0, 0), or_dash(summary.reaction_steps, 0)});
  }
  const std::size_t judged = index_of(report, judged_policy);
  const PolicySummary& summary = summaries[judged];
  AdaptationFindings findings;
  const bool is_wrong =
      std::ranges::any_of(report.output_error, [&](double error) { return !(error <= report.output_tolerance); });
  findings.nothing_moved = summary.moved == 0;
  findings.is_worse = is_wrong || (!findings.nothing_moved && summary.interval.low > 1.0);
  const std::string word = is_wrong ? "WRONG" : word_for(summary);
  findings.verdict = to_lower(word);
  findings.text = table.to_string() + reaction_table(report, summaries) + "\n" + live_text(report, summaries) +
                  wrap("VERDICT: " + word + " - " + verdict_sentence(report, summary)) + "\n";
  findings.summaries = summaries;
  return findings;
}

JsonRecord findings_record(const AdaptationReport& report, const AdaptationFindings& findings) {
  std::vector<JsonRecord> policies;
  for (std::size_t p = 0; p < report.policy_count(); ++p) {
    const PolicySummary& summary = findings.summaries[p];
    policies.push_back(JsonRecord()
                           .add("policy", report.policies[p])
                           .add("total_s", summary.total_s)
                           .add("relative", summary.relative)
                           .add("relative_low", summary.interval.low)
                           .add("relative_high", summary.interval.high)
                           .add("mean_s", summary.mean_s)
                           .add("p99_s", summary.p99_s)
                           .add("worst_s", summary.worst_s)
                           .add("moved_experts", summary.moved)
                           .add("remappings", summary.remappings)
                           .add("recovered", summary.recovered)
                           .add("regret_s", summary.regret_s)
                           .add("reaction_steps", summary.reaction_steps)
                           .add("reactions_steps", summary.reactions)
                           .add("move_s", summary.move_s)
                           .add("exchange_s", summary.exchange_s));
    if (!report.moving.empty())
      policies.back()
          .add("output_error", report.output_error[p])
          .add("checked_values", report.checked_values[p])
          .add("unequal_values", report.unequal_values[p]);
  }
  JsonRecord record;
  record.add("model", report.model)
      .add("tasks", report.tasks)
      .add("device_kind", report.device_kind)
      .add("device_note", report.device_note)
      .add("moving", report.moving.empty() ? "priced" : report.moving)
      .add("expert_bytes", report.expert_bytes)
      .add("first_step", report.first_step)
      .add("steps", report.step_count())
      .add("move_s", report.move_s)
      .add("horizon_steps", report.horizon_steps)
      .add("changes", report.changes)
      .add("policies", policies)
      .add("judged", judged_policy)
      .add("nothing_moved", findings.nothing_moved)
      .add("verdict", findings.verdict);
  return record;
}

}  // namespace gem
