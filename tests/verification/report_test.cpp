#include "verification/report.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.hpp"
#include "verification/exchange_cost.hpp"
#include "verification/findings.hpp"
#include "verification/step_estimate.hpp"

namespace gem {
namespace {

// Two devices; "linear" waits for device 1, "gem" takes `ratio` of its time with noise.
VerificationReport report_with(double ratio, double noise) {
  RandomStream random({18});
  VerificationReport report;
  report.device_kind = "host";
  report.device_note = "emulated";
  report.sample_note = "held-out requests";
  report.model_layers = 12;
  report.layer_ids = {0, 1, 2};
  for (const char* name : {"linear", "gem"}) {
    MappingReplay& replay = report.mappings.emplace_back();
    replay.name = name;
    replay.compute_s = replay.predicted_s = Cube<double>(40, 3, 2);
    replay.dispatch_s = replay.combine_s = Cube<double>(40, 3, 2, 1e-4);
    replay.layer_s = replay.raw_straggler_s = Matrix<double>(40, 3);
    for (std::size_t step = 0; step < 40; ++step)
      for (std::size_t layer = 0; layer < 3; ++layer) {
        const double time = (1.0 + noise * random.normal()) * (replay.name == "gem" ? ratio : 1.0) * 1e-3;
        replay.compute_s(step, layer, 0) = 0.5 * time;
        replay.compute_s(step, layer, 1) = time;
        replay.predicted_s(step, layer, 0) = 0.5 * time;
        replay.predicted_s(step, layer, 1) = 1.1 * time;
        replay.layer_s(step, layer) = replay.raw_straggler_s(step, layer) = 2.0 * time;
      }
  }
  return report;
}

TEST(Report, SummaryHoldsRatiosErrorsAndQuantiles) {
  const VerificationReport report = report_with(0.8, 0.0);
  const auto summaries = summarize(report, 1);
  EXPECT_NEAR(summaries[1].relative, 0.8, 1e-9);
  EXPECT_NEAR(summaries[1].straggler_s, 3 * 0.8e-3, 1e-9);
  EXPECT_NEAR(summaries[1].median_error, 0.1, 1e-9);
  EXPECT_NEAR(summaries[1].p99_s, 3 * 0.8e-3, 1e-9);
  EXPECT_NEAR(summaries[1].imbalance, 1.0 / 0.75, 1e-9);
}

TEST(Report, OfFewerThanAHundredStepsP99IsNotOneInAHundred) {
  const std::string words = "p99 of 40 steps is nearly their slowest";
  EXPECT_NE(findings_of(report_with(0.8, 0.01), 1, 1).text.find(words), std::string::npos);
  VerificationReport longer = report_with(0.8, 0.01);
  for (MappingReplay& replay : longer.mappings) {
    replay.compute_s = replay.predicted_s = Cube<double>(100, 3, 2, 1e-3);
    replay.dispatch_s = replay.combine_s = Cube<double>(100, 3, 2, 1e-4);
    replay.layer_s = replay.raw_straggler_s = Matrix<double>(100, 3, 1e-3);
  }
  EXPECT_EQ(findings_of(longer, 1, 1).text.find("nearly their slowest"), std::string::npos);
}

TEST(Report, TheExchangeIsALineInTheRowsOfTheFullestDevice) {
  VerificationReport report = report_with(0.8, 0.0);
  EXPECT_FALSE(exchange_cost_of(report)) << "rows are unknown";
  for (MappingReplay& replay : report.mappings) {
    replay.most_rows = Matrix<double>(40, 3);
    for (std::size_t step = 0; step < 40; ++step)
      for (std::size_t layer = 0; layer < 3; ++layer) {
        replay.most_rows(step, layer) = 1000.0 + 10.0 * static_cast<double>(step);
        replay.layer_s(step, layer) = replay.compute_s(step, layer, 1) + 70e-6 + 25e-9 * replay.most_rows(step, layer);
      }
  }
  const auto cost = exchange_cost_of(report);
  ASSERT_TRUE(cost);
  EXPECT_NEAR(cost->fixed_s, 70e-6, 1e-12);
  EXPECT_NEAR(cost->row_s, 25e-9, 1e-15);
  EXPECT_NEAR(cost->explained, 1.0, 1e-9);
  EXPECT_NE(exchange_line(report).find("gem-map --exchange-row-time 25\n"), std::string::npos);

  // Times that don't follow the rows are no reason to place experts by them.
  for (MappingReplay& replay : report.mappings)
    for (std::size_t step = 0; step < 40; ++step)
      for (std::size_t layer = 0; layer < 3; ++layer) replay.layer_s(step, layer) += step % 2 == 0 ? 1e-4 : 0.0;
  EXPECT_LT(exchange_cost_of(report)->explained, 0.1);
  EXPECT_NE(exchange_line(report).find("rows explain little"), std::string::npos) << exchange_line(report);
  for (MappingReplay& replay : report.mappings) replay.most_rows = Matrix<double>(40, 3, 1000.0);
  EXPECT_FALSE(exchange_cost_of(report)) << "all have equally many";
}

TEST(Report, WhatAllPredictionsHaveInCommonIsToldApart) {
  VerificationReport report = report_with(0.8, 0.0);
  for (MappingReplay& replay : report.mappings)
    for (std::size_t i = 0; i < replay.compute_s.values().size(); ++i)
      replay.predicted_s.values()[i] = (i % 4 == 0 ? 1.32 : 1.2) * replay.compute_s.values()[i];
  const DeviceErrors errors = device_errors(report);
  EXPECT_NEAR(errors.median, 0.2, 1e-9);
  EXPECT_NEAR(errors.common, 0.2, 1e-9);
  EXPECT_NEAR(errors.beside, 0.0, 1e-9);
  EXPECT_NE(prediction_lines(report).find("+20.0 %"), std::string::npos);
  EXPECT_EQ(prediction_lines(report).find("GHz"), std::string::npos);
  report.sm_clock_hz = {1.6e9, 1.7e9};
  report.profile_sm_clock_hz = {1.5e9, 1.5e9};
  EXPECT_NE(prediction_lines(report).find("1.65 GHz in the replay, 1.50 GHz in the profile"), std::string::npos);
}

TEST(Report, TheModelsStepIsItsLayersAndTheStatedRest) {
  VerificationReport report = report_with(0.8, 0.0);
  EXPECT_FALSE(has_step_estimate(report));
  report.rest_per_layer_s = 1e-3;
  ASSERT_TRUE(has_step_estimate(report));
  // Twelve layers of 2 ms (1.6 ms under gem, layer_s) and 1 ms of rest; three of them were replayed.
  const std::vector<StepEstimate> whole = estimate_steps(report, 1);
  EXPECT_NEAR(whole[0].step_s, 12 * 3e-3, 1e-12);
  EXPECT_NEAR(whole[1].step_s, 12 * 2.6e-3, 1e-12);
  EXPECT_NEAR(whole[1].relative, 2.6 / 3.0, 1e-12);
  EXPECT_NEAR(whole[1].moe_s + whole[1].rest_s, whole[1].step_s, 1e-12);
  // Where only compute was timed, the slowest device's counts.
  for (MappingReplay& replay : report.mappings) replay.layer_s = Matrix<double>(40, 3, NAN);
  EXPECT_NEAR(estimate_steps(report, 1)[1].relative, 1.8 / 2.0, 1e-12);
}

TEST(Report, VerdictFollowsTheInterval) {
  const auto verdict = [](double ratio, double noise) {
    const VerificationReport report = report_with(ratio, noise);
    return judge(report, summarize(report, 1)[1], 1e-4);
  };
  EXPECT_EQ(verdict(0.9, 0.02), Verdict::Faster);
  EXPECT_EQ(verdict(1.1, 0.02), Verdict::Slower);
  EXPECT_EQ(verdict(1.0, 0.05), Verdict::Unproven);
}

TEST(Report, WholeLayersCanBeJudgedInstead) {
  VerificationReport report = report_with(0.8, 0.0);
  for (double& seconds : report.mappings[1].layer_s.values()) seconds *= 1.5;  // 1.2 of linear's
  const auto sentence = [&] {
    const MappingSummary judged = summarize(report, 1)[1];
    return verdict_sentence(report, judged, judge(report, judged, 1e-4));
  };
  EXPECT_EQ(sentence().rfind("VERDICT: FASTER - gem takes 0.8", 0), 0u) << sentence();
  EXPECT_NE(sentence().find("straggler time"), std::string::npos);
  report.judged_by = JudgedBy::Layer;
  EXPECT_EQ(sentence().rfind("VERDICT: SLOWER - gem takes 1.2", 0), 0u) << sentence();
  EXPECT_NE(sentence().find("of linear's whole layers"), std::string::npos);
}

TEST(Report, WrongDataOverrulesTimes) {
  VerificationReport report = report_with(0.5, 0.0);
  report.mappings[0].wrong_values = 1;
  EXPECT_EQ(judge(report, summarize(report, 1)[1], 1e-4), Verdict::Wrong);
  report.mappings[0].wrong_values = 0;
  report.mappings[1].output_error = 0.1;
  EXPECT_EQ(judge(report, summarize(report, 1)[1], 1e-4), Verdict::Wrong);
}

TEST(Report, TablesFitATerminalOf80Columns) {
  VerificationReport report = report_with(0.8, 0.01);
  report.rest_per_layer_s = 1e-3;
  const std::string table =
      summary_table(report, summarize(report, 1)) + step_estimate_table(report, estimate_steps(report, 1));
  std::size_t begin = 0;
  while (begin < table.size()) {
    const std::size_t end = table.find('\n', begin);
    EXPECT_LE(end - begin, 80u) << table.substr(begin, end - begin);
    begin = end + 1;
  }
}

}  // namespace
}  // namespace gem
