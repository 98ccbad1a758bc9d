#include "adaptation/adaptation_report.hpp"

#include <fmt/core.h>
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "adaptation/policies.hpp"
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

// Until the policy's first move after each change and before the next; changes that none follows are left out.
double reaction_of(const AdaptationReport& report, std::size_t policy) {
  std::vector<double> reactions;
  for (std::size_t c = 0; c < report.changes.size(); ++c) {
    const auto begin = static_cast<std::size_t>(report.changes[c]);
    const std::size_t end =
        c + 1 < report.changes.size() ? static_cast<std::size_t>(report.changes[c + 1]) : report.step_count();
    for (std::size_t step = begin; step < end; ++step) {
      if (report.moved(policy, step) == 0) continue;
      reactions.push_back(static_cast<double>(step - begin));
      break;
    }
  }
  return reactions.empty() ? unknown : median(reactions);
}

std::string or_dash(double value, int digits, const char* unit = "") {
  return std::isnan(value) ? "-" : fmt::format("{:.{}f}{}", value, digits, unit);
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
    summary.reaction_steps = reaction_of(report, p);
    summaries.push_back(summary);
  }
  const double reference_s = summaries[reference].total_s, won_s = reference_s - summaries[oracle].total_s;
  for (PolicySummary& summary : summaries) {
    summary.relative = summary.total_s / reference_s;
    summary.recovered = won_s > 0.0 ? (reference_s - summary.total_s) / won_s : unknown;
  }
  return summaries;
}

AdaptationFindings findings_of(const AdaptationReport& report, std::uint64_t seed) {
  const std::vector<PolicySummary> summaries = summarize(report, seed);
  Table table({{"policy", ""},
               {"total", "s"},
               {"of static", "gem"},
               {"mean", "ms"},
               {"p99", "ms"},
               {"worst", "ms"},
               {"moved", "experts"},
               {"re-", "mapped"},
               {"of oracle's", "gain %"},
               {"reacts", "steps"}});
  for (std::size_t p = 0; p < summaries.size(); ++p) {
    const PolicySummary& summary = summaries[p];
    table.add_row({report.policies[p], fmt::format("{:.3f}", summary.total_s), fmt::format("{:.4f}", summary.relative),
                   fmt::format("{:.3f}", summary.mean_s * 1e3), fmt::format("{:.3f}", summary.p99_s * 1e3),
                   fmt::format("{:.2f}", summary.worst_s * 1e3), fmt::format("{}", summary.moved),
                   fmt::format("{}", summary.remappings), or_dash(summary.recovered * 100.0, 0),
                   or_dash(summary.reaction_steps, 0)});
  }
  const std::size_t judged = index_of(report, judged_policy);
  const PolicySummary& summary = summaries[judged];
  AdaptationFindings findings;
  findings.is_worse = summary.interval.low > 1.0;
  const char* const word = findings.is_worse ? "SLOWER" : summary.interval.high < 1.0 ? "FASTER" : "NOT WORSE";
  findings.verdict = to_lower(word);
  findings.text = table.to_string();
  const std::string moved =
      report.expert_bytes == 0
          ? fmt::format("{} experts", summary.moved)
          : format_bytes(static_cast<double>(summary.moved) * static_cast<double>(report.expert_bytes));
  findings.text +=
      "\n" +
      wrap(fmt::format("VERDICT: {} - {} takes {:.4f} of {}'s time, its moves included, 95 % interval {:.4f} to {:.4f} "
                       "({} devices, moves are priced); {} moved before {} steps.",
                       word, judged_policy, summary.relative, reference_policy, summary.interval.low,
                       summary.interval.high, report.device_kind, moved, summary.remappings)) +
      "\n";
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
                           .add("reaction_steps", summary.reaction_steps));
  }
  JsonRecord record;
  record.add("model", report.model)
      .add("tasks", report.tasks)
      .add("device_kind", report.device_kind)
      .add("first_step", report.first_step)
      .add("steps", report.step_count())
      .add("move_s", report.move_s)
      .add("horizon_steps", report.horizon_steps)
      .add("changes", report.changes)
      .add("policies", policies)
      .add("judged", judged_policy)
      .add("verdict", findings.verdict);
  return record;
}

}  // namespace gem
