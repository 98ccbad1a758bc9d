#include "verification/findings.hpp"

#include "base/text.hpp"
#include "verification/block_interval.hpp"
#include "verification/exchange_cost.hpp"
#include "verification/step_estimate.hpp"

namespace gem {

Findings findings_of(const VerificationReport& report, std::size_t judged, std::uint64_t seed) {
  Findings findings;
  findings.summaries = summarize(report, seed);
  const MappingSummary& summary = findings.summaries[judged];
  findings.verdict = judge(report, summary, output_tolerance(report.weight_dtype));
  if (!report.profile_doubts.empty())
    findings.text = wrap("Warning: the profile is doubtful: " + report.profile_doubts) + "\n\n";
  findings.text += summary_table(report, findings.summaries) + "\n";
  if (has_step_estimate(report)) findings.text += step_estimate_table(report, estimate_steps(report, seed)) + "\n";
  findings.text += exchange_line(report);
  if (const std::string sentence = block_interval_sentence(report, summary); !sentence.empty())
    findings.text += wrap(sentence) + "\n";
  findings.text += prediction_lines(report) + wrap(verdict_sentence(report, summary, findings.verdict)) + "\n";
  return findings;
}

}  // namespace gem
