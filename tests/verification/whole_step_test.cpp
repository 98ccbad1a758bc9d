#include "verification/whole_step.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "base/error.hpp"
#include "device/simulated/simulated_device.hpp"
#include "verification/findings.hpp"
#include "verification/rest_table.hpp"
#include "verification/step_decoders.hpp"

namespace gem {
namespace {

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

// Two devices, two steps, one layer of two replayed; device 1 is slow before dispatch, device 0 has more experts' work.
MappingReplay small_replay(const std::string& name, double experts_s) {
  MappingReplay replay;
  replay.name = name;
  replay.compute_s = replay.predicted_s = Cube<double>(2, 1, 2);
  replay.dispatch_s = replay.combine_s = Cube<double>(2, 1, 2, nan);
  replay.layer_s = Matrix<double>(2, 1, nan);
  replay.raw_straggler_s = Matrix<double>(2, 1, experts_s);
  replay.most_rows = Matrix<double>(2, 1, 100.0);
  for (const StepPart part : attention_parts) replay.part_s[index_of(part)] = Cube<double>(2, 1, 2);
  replay.part_s[index_of(StepPart::SharedExperts)] = Cube<double>(2, 1, 2, 5.0);
  for (const StepPart part : tail_parts) replay.part_s[index_of(part)] = Cube<double>(2, 1, 2, 7.0);
  for (std::size_t step = 0; step < 2; ++step) {
    replay.compute_s(step, 0, 0) = experts_s;
    replay.compute_s(step, 0, 1) = 1.0;
    replay.part_s[index_of(StepPart::Attention)](step, 0, 0) = 2.0;
    replay.part_s[index_of(StepPart::Attention)](step, 0, 1) = 3.0;
    replay.part_s[index_of(StepPart::Output)](step, 0, 1) = 1.0;
  }
  replay.predicted_s = replay.compute_s;
  return replay;
}

VerificationReport small_report() {
  VerificationReport report;
  report.device_kind = "simulated";
  report.sample_note = "held-out requests";
  report.judged_by = JudgedBy::Step;
  report.tokens_per_step = 64;
  report.layer_ids = {0};
  report.mappings = {small_replay("linear", 11.0), small_replay("gem", 6.0)};
  report.balanced = {small_replay(force_balanced_name, 3.0)};
  report.whole_step = StepSetting{2048, 2, 2, 1, "simulated", 1.0, 0.01, {}};
  return report;
}

TEST(WholeStep, IsTwoMaximaALayerAndTheRest) {
  VerificationReport report = small_report();
  const MappingReplay& linear = report.mappings[0];
  // Two MoE layers in proportion: attention 4 and experts with shared ones 16, exchange 2; one dense layer: attention 4
  // and FFN 7; the head 7.
  EXPECT_DOUBLE_EQ(whole_step_times(linear, linear.compute_s, *report.whole_step)[1], 2 * (4 + 16 + 2) + 4 + 7 + 7);
  const std::vector<WholeStep> steps = whole_steps(report, 1);
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_DOUBLE_EQ(steps[0].step.mean_s, 62.0);
  EXPECT_DOUBLE_EQ(steps[1].step.relative, 52.0 / 62.0);
  EXPECT_EQ(steps[2].name, force_balanced_name);
  EXPECT_DOUBLE_EQ(steps[0].above_balanced, 62.0 / 46.0 - 1.0);
  for (const WholeStep& step : steps) EXPECT_NEAR(step.shares.sum_s(), step.step.mean_s, 1e-12);
  EXPECT_DOUBLE_EQ(steps[0].shares.experts_s, 2 * 6.0);
  EXPECT_DOUBLE_EQ(steps[0].shares.attention_s, 3 * 3.0);
  EXPECT_DOUBLE_EQ(steps[0].shares.waiting_s, 2 * 5.0 + 3 * 1.0);
  EXPECT_DOUBLE_EQ(steps[0].output.mean_s, 62.0);
}

TEST(WholeStep, AttentionCountsForTheLayersThatSeeAsMuch) {
  VerificationReport report = small_report();
  const MappingReplay& linear = report.mappings[0];
  const double even = whole_step_times(linear, linear.compute_s, *report.whole_step)[1];
  report.whole_step->attention_layers = {5.0};  // instead of the three that there are in all
  EXPECT_DOUBLE_EQ(whole_step_times(linear, linear.compute_s, *report.whole_step)[1], even + 2 * 4);
}

TEST(WholeStep, AMeasuredExchangeCountsInsteadOfALaw) {
  VerificationReport report = small_report();
  MappingReplay& linear = report.mappings[0];
  linear.dispatch_s = Cube<double>(2, 1, 2, 0.5);
  linear.combine_s = Cube<double>(2, 1, 2, 0.25);
  linear.layer_s = Matrix<double>(2, 1, 20.0);
  EXPECT_DOUBLE_EQ(whole_step_times(linear, linear.compute_s, *report.whole_step)[0], 2 * (4 + 16 + 0.75) + 4 + 7 + 7);
}

TEST(WholeStep, VerdictAndTableSayWhatIsJudgedAndComposed) {
  VerificationReport report = small_report();
  const auto summaries = summarize(report, 1);
  EXPECT_DOUBLE_EQ(summaries[1].step_relative, 52.0 / 62.0);
  EXPECT_NE(verdict_sentence(report, summaries[1], judge(report, summaries[1], 1.0)).find("linear's whole steps"),
            std::string::npos);
  std::string table = whole_step_table(report, whole_steps(report, 1));
  for (const char* words :
       {"exchange: composed", "simulated", "1 of 2 MoE layers", "not the latency of serving", "force-balanced"})
    EXPECT_NE(table.find(words), std::string::npos) << words << "\n" << table;
  const auto shorten = [](MappingReplay& replay) {
    for (Cube<double>& part_s : replay.part_s)
      for (double& value : part_s.values()) value *= 0.01;
    for (double& value : replay.compute_s.values()) value *= 0.01;
  };
  for (MappingReplay& replay : report.mappings) shorten(replay);  // to steps of half a second
  shorten(report.balanced[0]);
  report.whole_step->exchange_fixed_s = 0.01;
  report.whole_step->exchange_row_s = 1e-4;
  table = whole_step_table(report, whole_steps(report, 1));
  std::size_t begin = 0;
  for (std::size_t end = table.find('\n'); end != std::string::npos; begin = end + 1, end = table.find('\n', begin))
    EXPECT_LE(end - begin, 80u) << table.substr(begin, end - begin);
}

TEST(WholeStep, JsonHasWhatTheTablesHave) {
  VerificationReport report = small_report();
  const auto shown = [&] { return findings_record(report, findings_of(report, 1, 1), 1).text(); };
  const std::string text = shown();
  for (const char* words :
       {"\"mean_s\": 62,", "\"output_mean_s\": 62,", "\"predicted_s\": 62,", "\"shares\": {\"attention_s\": 9,",
        "\"rest\": \"simulated\"", "\"context\": 2048", "\"exchange_fixed_s\": 1,"})
    EXPECT_NE(text.find(words), std::string::npos) << words << "\n" << text;
  report.whole_step->output_tokens = 0;
  EXPECT_EQ(shown().find("output_mean_s"), std::string::npos);
}

TEST(BalancedTrace, KeepsTokensAndActiveExpertsAndFollowsSpeeds) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 8);
  trace.layer_ids = {0};
  trace.counts.values() = {40, 1, 0, 9, 30, 0, 20, 0};
  const std::vector<std::int32_t> linear{0, 0, 0, 0, 1, 1, 1, 1};
  const LoadTrace balanced = balanced_trace(trace, {ExpertHomes(linear)}, {1.0, 0.6}, LoadRules(LoadRule{10}));
  const auto counts = balanced.counts.row(0, 0);
  const auto on = [&](std::size_t device) {
    return std::accumulate(counts.begin() + static_cast<std::ptrdiff_t>(4 * device),
                           counts.begin() + static_cast<std::ptrdiff_t>(4 * device + 4), 0u);
  };
  EXPECT_EQ(on(0) + on(1), 100u);
  // 11 tiles: 40, 1, 9, 30 and 20 tokens in tiles of 10; 7 of them go to the faster device.
  EXPECT_EQ(on(0), 64u);
  EXPECT_EQ(std::accumulate(counts.begin(), counts.end(), 0u, [](auto sum, auto c) { return sum + tiles_of(c, 10); }),
            11u);
  EXPECT_EQ(std::ranges::count_if(counts, [](auto c) { return c > 0; }), 5);
  EXPECT_EQ(std::count_if(counts.begin(), counts.begin() + 4, [](auto c) { return c > 0; }), 3);
}

TEST(BalancedTrace, KeepsTilesOfHardlyFullExpertsInTheRegimeOfTheTokens) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 4);
  trace.layer_ids = {0};
  trace.counts.values() = {17, 1, 1, 1};
  const std::vector<ExpertHomes> homes{ExpertHomes(std::vector<std::int32_t>{0, 0, 1, 1})};
  const auto tiles = [&](const LoadTrace& balanced, std::uint32_t tile) {
    const auto counts = balanced.counts.row(0, 0);
    EXPECT_EQ(row_count(counts), 20u);
    return std::accumulate(counts.begin(), counts.end(), 0u, [&](auto sum, auto c) { return sum + tiles_of(c, tile); });
  };
  EXPECT_EQ(tiles(balanced_trace(trace, homes, {1.0, 1.0}, LoadRules(LoadRule{16})), 16), 5u);
  // 10 tokens a device: the tile of up to 12 rows.
  const LoadRules rules({{4, LoadRule{2}}, {12, LoadRule{16}}, {100, LoadRule{64}}});
  EXPECT_EQ(balanced_trace(trace, homes, {1.0, 1.0}, rules).counts.values(),
            balanced_trace(trace, homes, {1.0, 1.0}, LoadRules(LoadRule{16})).counts.values());
}

TEST(BalancedTrace, LeavesTimeForSharedExperts) {
  LoadTrace trace;
  trace.counts = Cube<std::uint32_t>(1, 1, 8);
  trace.layer_ids = {0};
  trace.counts.values() = {50, 10, 0, 10, 20, 0, 10, 0};  // 10 tiles of 10
  const std::vector<ExpertHomes> homes{ExpertHomes(std::vector<std::int32_t>{0, 0, 0, 0, 1, 1, 1, 1})};
  const auto first_tokens = [&](const std::vector<double>& shared) {
    const LoadTrace balanced = balanced_trace(trace, homes, {1.0, 1.0}, LoadRules(LoadRule{10}), shared);
    const auto counts = balanced.counts.row(0, 0);
    return std::accumulate(counts.begin(), counts.begin() + 4, 0u);
  };
  EXPECT_EQ(first_tokens({}), 50u);
  EXPECT_EQ(first_tokens({0.2, 0.2}), 50u);
  // Both end after 0.7 of what all experts take: 0.7 + 0.0 and 0.3 + 0.4.
  EXPECT_EQ(first_tokens({0.0, 0.4}), 70u);
}

TEST(BalancedTrace, IsOfAPlacementWithoutCopies) {
  const std::vector<std::int32_t> devices{0, 0, 1, 1};
  const std::vector<RedundantCopy> copies{{0, 1}};
  const std::vector<ExpertHomes> firsts = first_homes({ExpertHomes(devices, copies)});
  EXPECT_EQ(firsts[0].tokens_on(0, 0, 8), 8u);
  EXPECT_EQ(firsts[0].tokens_on(1, 0, 8), 0u);
}

TEST(OwnTokens, AreSharedAsEvenlyAsPossible) {
  EXPECT_EQ(own_tokens(10, 4, 0), 3u);
  EXPECT_EQ(own_tokens(10, 4, 2), 2u);
  EXPECT_EQ(own_tokens(2, 4, 3), 0u);
}

TEST(RestTable, InterpolatesOverTokensAndChoosesTheContext) {
  const RestTable table(
      "# measured elsewhere\nkv_len,op_name,num_tokens,latency,note\n2048,attention,8,0.1,a\n4096,attention,8,0.9,b\n"
      ",qkv,8,0.02,c\n,qkv,16,0.03,d\n,qkv,16,0.01,added\n",
      "rest.csv", 2048);
  EXPECT_DOUBLE_EQ(table.seconds(StepPart::Attention, 100), 1e-4);
  EXPECT_DOUBLE_EQ(table.seconds(StepPart::QueryKeyValue, 12), 3e-5);
  EXPECT_DOUBLE_EQ(table.seconds(StepPart::QueryKeyValue, 4), 1e-5);
  EXPECT_FALSE(table.has(StepPart::Head));
}

TEST(RestTable, BadTablesAreRefusedByLineAndColumn) {
  const auto message = [](const std::string& text) -> std::string {
    try {
      RestTable(text, "rest.csv", 2048);
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(message("part,tokens\nqkv,1\n").find("header"), std::string::npos);
  EXPECT_NE(message("part,tokens,seconds\nmlp,1,1\n").find("line 2, part: 'mlp'"), std::string::npos);
  EXPECT_NE(message("part,tokens,seconds\nqkv,1,-1\n").find("line 2, seconds"), std::string::npos);
  EXPECT_NE(message("part,tokens,seconds\nqkv,1\n").find("line 2"), std::string::npos);
  EXPECT_NE(message("part,tokens,context,seconds\nqkv,1,512,1\n").find("context of 2048"), std::string::npos);
  EXPECT_NE(message("part,tokens,seconds\n").find("no row"), std::string::npos);
}

TEST(RestTable, MustHaveAllPartsOfTheModelAndIsScaledByTheDevice) {
  const auto table = std::make_shared<RestTable>(
      "part,tokens,seconds\nqkv,1,1\nattention,1,2\noutput,1,3\nrouter,1,4\nhead,1,5\n", "rest.csv", 2048);
  DecoderWork work{find_model(known_models(), "Mixtral-8x7B"), 4, 2048, 1};
  check_rest_table(*table, work, "rest.csv");
  StepPartTimes times{};
  make_table_decoder(table, work, 1.5)->time_parts(0, attention_parts, times);
  EXPECT_DOUBLE_EQ(times[index_of(StepPart::Attention)], 3.0);
  work.model = find_model(known_models(), "DeepSeek-V2-Lite");
  EXPECT_THROW(check_rest_table(*table, work, "rest.csv"), DataError);
}

}  // namespace
}  // namespace gem
