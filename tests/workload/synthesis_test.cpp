#include "workload/synthesis.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "base/random.hpp"
#include "base/statistics.hpp"
#include "workload/description.hpp"

namespace gem {
namespace {

SynthesisOptions options_for(std::size_t experts, std::size_t top_k, std::size_t layers, std::size_t tokens,
                             std::size_t steps) {
  SynthesisOptions options;
  options.expert_count = experts;
  options.top_k = top_k;
  for (std::size_t layer = 0; layer < layers; ++layer) options.layer_ids.push_back(static_cast<std::int32_t>(layer));
  options.tokens_per_step = tokens;
  options.steps = steps;
  return options;
}

double median_skew(const LoadTrace& trace) {
  std::vector<double> skews;
  for (const LayerDescription& layer : describe_trace(trace, {})) skews.push_back(layer.skew);
  return median(skews);
}

TEST(Synthesis, EveryCountIsConservedForAnyShape) {
  RandomStream random{3};
  for (int trial = 0; trial < 60; ++trial) {
    const std::size_t experts = 1 + random.below(40);
    const std::size_t top_k = 1 + random.below(experts);
    SynthesisOptions options = options_for(experts, top_k, 2, 1 + random.below(trial % 2 == 0 ? 10 : 3000), 12);
    options.seed = static_cast<std::uint64_t>(trial);
    options.skew = random.uniform() * static_cast<double>(experts) / static_cast<double>(top_k);
    options.temporal_share = random.uniform();
    options.burstiness = 1.0 + 4.0 * random.uniform();
    options.correlation = random.uniform();
    const LoadTrace trace = synthesize_trace(options);
    for (std::size_t step = 0; step < trace.step_count(); ++step) {
      for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
        const auto row = trace.counts.row(step, layer);
        ASSERT_EQ(std::accumulate(row.begin(), row.end(), std::uint64_t{0}), options.tokens_per_step * top_k);
        ASSERT_LE(*std::ranges::max_element(row), options.tokens_per_step);
      }
    }
  }
}

TEST(Synthesis, SkewIsWhatWasAskedFor) {
  for (const double skew : {1.0, 2.0, 3.5, 8.0}) {
    SynthesisOptions options = options_for(32, 4, 6, 1024, 60);
    options.temporal_share = 0.0;
    options.skew = skew;
    EXPECT_NEAR(median_skew(synthesize_trace(options)), skew, 0.05 * skew) << skew;
  }
}

TEST(Synthesis, UniformRoutingIsWithinReach) {
  SynthesisOptions options = options_for(16, 2, 4, 800, 50);
  options.skew = 0.0;
  options.burstiness = 0.0;
  const LoadTrace trace = synthesize_trace(options);
  // Each count is binomial with mean 100 and standard deviation 9.4: six of them are out of reach.
  for (const std::uint32_t count : trace.counts.values()) EXPECT_NEAR(count, 100.0, 57.0);
  EXPECT_LT(median_skew(trace), 1.1);
}

TEST(Synthesis, TemporalExpertsAreFoundByTheirDescription) {
  SynthesisOptions options = options_for(64, 4, 8, 4096, 800);
  const LoadTrace trace = synthesize_trace(options);
  std::size_t consistent = 0;
  std::size_t temporal = 0;
  for (const LayerDescription& layer : describe_trace(trace, {})) {
    consistent += layer.count(ExpertKind::Consistent);
    temporal += layer.count(ExpertKind::Temporal);
  }
  EXPECT_GE(temporal, 8 * 6 * 3 / 4u);  // 6 of 64 in each of 8 layers were asked for
  EXPECT_LE(temporal, 8 * 6u);
  EXPECT_GE(consistent, 8 * 10u);

  options.temporal_share = 0.0;
  for (const LayerDescription& layer : describe_trace(synthesize_trace(options), {}))
    EXPECT_EQ(layer.count(ExpertKind::Temporal), 0u);
}

TEST(Synthesis, GroupsBurstTogetherAsFarAsAskedFor) {
  SynthesisOptions options = options_for(64, 4, 4, 4096, 400);
  options.correlation = 1.0;
  for (std::size_t layer = 0; layer < 4; ++layer)
    EXPECT_GT(strongest_pairs(expert_correlations(synthesize_trace(options), layer), 1).front().correlation, 0.9);
  options.correlation = 0.0;
  for (std::size_t layer = 0; layer < 4; ++layer)
    EXPECT_LT(strongest_pairs(expert_correlations(synthesize_trace(options), layer), 1).front().correlation, 0.6);
}

TEST(Synthesis, TheSeedDecides) {
  SynthesisOptions options = options_for(16, 2, 2, 64, 10);
  const Cube<std::uint32_t> counts = synthesize_trace(options).counts;
  EXPECT_EQ(counts, synthesize_trace(options).counts);
  options.seed = 1;
  EXPECT_NE(counts, synthesize_trace(options).counts);
}

TEST(Synthesis, ContradictionsAreRefused) {
  const SynthesisOptions good = options_for(16, 2, 2, 64, 10);
  const auto refused = [&](auto change) {
    SynthesisOptions options = good;
    change(options);
    EXPECT_THROW(synthesize_trace(options), UsageError);
  };
  refused([](auto& options) { options.top_k = 17; });
  refused([](auto& options) { options.steps = 0; });
  refused([](auto& options) { options.tokens_per_step = 0; });
  refused([](auto& options) { options.layer_ids.clear(); });
  refused([](auto& options) { options.skew = 8.5; });
  refused([](auto& options) { options.temporal_share = 1.5; });
  refused([](auto& options) { options.burst_share = 0.5; });
  refused([](auto& options) { options.burst_steps = 0.5; });
  refused([](auto& options) { options.correlation = -0.1; });
  refused([](auto& options) { options.steps = std::size_t{1} << 62; });
}

TEST(Synthesis, LayersAreThoseOfTheModel) {
  const auto ids = [](const char* name) { return moe_layer_ids(find_model(known_models(), name)); };
  EXPECT_EQ(ids("gpt-oss-20b").front(), 0);
  EXPECT_EQ(ids("gpt-oss-20b").size(), 24u);
  EXPECT_EQ(ids("DeepSeek-V3").front(), 3);
  EXPECT_EQ(ids("DeepSeek-V3").back(), 60);
  MoeModel model;
  model.layer_count = 48;
  model.moe_layer_count = 24;
  EXPECT_EQ(moe_layer_ids(model)[0], 1);
  EXPECT_EQ(moe_layer_ids(model)[1], 3);
  EXPECT_EQ(moe_layer_ids(model).back(), 47);
}

}  // namespace
}  // namespace gem
