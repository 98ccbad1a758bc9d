#include "workload/description.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/text.hpp"
#include "workload/description_text.hpp"

namespace gem {
namespace {

/// 20 steps of 16 tokens, top-1 of 4 experts: expert 0 always busy, 1 and 2 in a burst in steps 0 and 10, 3 never used.
LoadTrace telling_trace() {
  LoadTrace trace;
  trace.top_k = 1;
  trace.tokens_per_step = 16;
  trace.layer_ids = {7};
  trace.counts = Cube<std::uint32_t>(20, 1, 4);
  for (std::size_t step = 0; step < 20; ++step) {
    const bool burst = step % 10 == 0;
    const std::uint32_t row[] = {burst ? 6u : 14u, burst ? 5u : 1u, burst ? 5u : 1u, 0u};
    std::ranges::copy(row, trace.counts.row(step, 0).begin());
  }
  return trace;
}

TEST(Description, NamesWhatATraceIsLike) {
  const LayerDescription layer = describe_trace(telling_trace(), {}).front();
  EXPECT_EQ(layer.layer_id, 7);
  EXPECT_DOUBLE_EQ(layer.skew, 13.2 / 4.0);
  EXPECT_DOUBLE_EQ(layer.median_imbalance, 14.0 / 4.0);
  EXPECT_DOUBLE_EQ(layer.largest_imbalance, 14.0 / 4.0);
  EXPECT_EQ(layer.experts[0].kind, ExpertKind::Consistent);
  EXPECT_EQ(layer.experts[1].kind, ExpertKind::Temporal);
  EXPECT_EQ(layer.experts[2].kind, ExpertKind::Temporal);
  EXPECT_EQ(layer.experts[3].kind, ExpertKind::Other);
  EXPECT_DOUBLE_EQ(layer.experts[1].busy_share, 0.1);
  EXPECT_DOUBLE_EQ(layer.experts[1].burst, 5.0 / 1.4);
  EXPECT_EQ(layer.count(ExpertKind::Temporal), 2u);
  EXPECT_EQ(layer.idle_count(), 1u);
}

TEST(Description, ALayerWithoutATokenHasNoSkew) {
  LoadTrace trace = telling_trace();
  trace.layer_ids = {7, 9};
  const Cube<std::uint32_t> counts = trace.counts;
  trace.counts = Cube<std::uint32_t>(20, 2, 4);
  for (std::size_t step = 0; step < 20; ++step)
    std::ranges::copy(counts.row(step, 0), trace.counts.row(step, 0).begin());
  const auto layers = describe_trace(trace, {});
  const std::string table = description_table(layers), alone = description_table({layers.front()});
  EXPECT_NE(table.find("-"), std::string::npos) << table;
  EXPECT_EQ(split(table, '\n').at(4).substr(0, 20), split(alone, '\n').at(3).substr(0, 20))
      << table << alone;  // medians
}

TEST(Description, ThresholdsAreAdjustable) {
  DescriptionOptions options;
  options.temporal_burst = 4.0;
  EXPECT_EQ(describe_trace(telling_trace(), options).front().count(ExpertKind::Temporal), 0u);
  options.busy_factor = 2.0;  // expert 0 at 6 tokens is then not busy: 18 of 20 steps
  options.consistent_share = 0.95;
  EXPECT_EQ(describe_trace(telling_trace(), options).front().count(ExpertKind::Consistent), 0u);
  options.temporal_share = 0.99;
  EXPECT_THROW(describe_trace(telling_trace(), options), UsageError);
}

TEST(Description, FindsExpertsThatAreBusyTogether) {
  const Matrix<double> correlations = expert_correlations(telling_trace(), 0);
  EXPECT_NEAR(correlations(1, 2), 1.0, 1e-12);
  EXPECT_NEAR(correlations(0, 1), -1.0, 1e-12);
  EXPECT_EQ(correlations(0, 3), 0.0);
  const std::vector<ExpertPair> pairs = strongest_pairs(correlations, 1);
  ASSERT_EQ(pairs.size(), 1u);
  EXPECT_EQ(pairs[0].first.value, 1);
  EXPECT_EQ(pairs[0].second.value, 2);
}

TEST(Description, NextStepCorrelationTellsSlowFromFast) {
  LoadTrace slow = telling_trace();
  LoadTrace fast = slow;
  for (std::size_t step = 0; step < 20; ++step) {
    const std::uint32_t high[] = {12, 4, 0, 0};
    const std::uint32_t low[] = {4, 12, 0, 0};
    std::ranges::copy(step < 10 ? high : low, slow.counts.row(step, 0).begin());
    std::ranges::copy(step % 2 == 0 ? high : low, fast.counts.row(step, 0).begin());
  }
  EXPECT_GT(describe_trace(slow, {}).front().step_correlation, 0.8);
  EXPECT_LT(describe_trace(fast, {}).front().step_correlation, -0.9);
}

TEST(Description, OneStepAndOneExpertAreDescribedToo) {
  LoadTrace trace;
  trace.top_k = 1;
  trace.tokens_per_step = 8;
  trace.layer_ids = {0};
  trace.counts = Cube<std::uint32_t>(1, 1, 1, 8);
  const std::vector<LayerDescription> layers = describe_trace(trace, {});
  EXPECT_EQ(layers.front().skew, 1.0);
  EXPECT_EQ(layers.front().step_correlation, 0.0);
  EXPECT_EQ(layers.front().expert_correlation, 0.0);
  EXPECT_NE(heat_map(trace, 0, layers.front()).find("|:|"), std::string::npos);
}

TEST(Description, HeatMapFitsAndShowsTheBursts) {
  const LoadTrace trace = telling_trace();
  const std::string map = heat_map(trace, 0, describe_trace(trace, {}).front());
  const std::vector<std::string> lines = split(map, '\n');
  for (const std::string& line : lines) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_NE(map.find("    1 T |:         :         | 1.4"), std::string::npos) << map;
}

TEST(Description, HeatMapOfALongTraceAveragesAndNamesWhatIsLeftOut) {
  LoadTrace trace;
  trace.top_k = 1;
  trace.tokens_per_step = 100;
  trace.layer_ids = {0};
  trace.counts = Cube<std::uint32_t>(1000, 1, 100, 1);
  const std::string map = heat_map(trace, 0, describe_trace(trace, {}).front());
  for (const std::string& line : split(map, '\n')) EXPECT_LE(line.size(), 80u) << line;
  EXPECT_NE(map.find("and 68 experts"), std::string::npos) << map;
}

TEST(Description, TableHasARowALayerAndTheMedian) {
  const std::string table = description_table(describe_trace(telling_trace(), {}));
  EXPECT_NE(table.find("\n7 "), std::string::npos) << table;
  EXPECT_NE(table.find("\nmedian "), std::string::npos) << table;
}

}  // namespace
}  // namespace gem
