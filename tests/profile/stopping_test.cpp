#include "profile/stopping.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "base/error.hpp"
#include "base/random.hpp"

namespace gem {
namespace {

struct Outcome {
  std::size_t samples;
  StoppingDecision decision;
};

// Samples until the rule ends it; log-normal noise around `center_s`.
Outcome run_rule(const StoppingRule& rule, double center_s, double noise, std::uint64_t seed = 1) {
  RandomStream random({seed});
  std::vector<double> samples;
  for (;;) {
    const StoppingDecision decision = decide(rule, samples, center_s * static_cast<double>(samples.size()));
    if (decision != StoppingDecision::Continue) return {samples.size(), decision};
    for (std::size_t i = next_round(rule, samples.size(), center_s); i > 0; --i)
      samples.push_back(center_s * std::exp(noise * random.normal()));
  }
}

TEST(StoppingRule, AQuietDeviceStopsAtTheMinimum) {
  const Outcome outcome = run_rule({}, 1e-4, 0.001);
  EXPECT_EQ(outcome.samples, StoppingRule{}.min_samples);
  EXPECT_EQ(outcome.decision, StoppingDecision::Settled);
}

TEST(StoppingRule, NoiseAsksForMoreSamples) {
  const Outcome some = run_rule({}, 1e-4, 0.02);
  EXPECT_GT(some.samples, StoppingRule{}.min_samples);
  EXPECT_EQ(some.decision, StoppingDecision::Settled);
  const Outcome much = run_rule({}, 1e-4, 0.5);
  EXPECT_EQ(much.samples, StoppingRule{}.max_samples);
  EXPECT_EQ(much.decision, StoppingDecision::Unsettled);
}

TEST(StoppingRule, SettledMediansAreGood) {
  std::size_t within = 0;
  constexpr std::size_t trials = 200;
  for (std::uint64_t seed = 0; seed < trials; ++seed) {
    RandomStream random({seed});
    std::vector<double> samples;
    const StoppingRule rule{.confidence_width = 0.01, .min_samples = 10, .max_samples = 2000, .max_time_s = 1e9};
    while (decide(rule, samples, 0.0) == StoppingDecision::Continue)
      samples.push_back(std::exp(0.03 * random.normal()));
    const std::size_t middle = samples.size() / 2;
    std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(middle), samples.end());
    within += std::abs(samples[middle] - 1.0) <= 0.012 ? 1 : 0;
  }
  // Looking again and again spends some of the 95 % confidence.
  EXPECT_GE(within, trials * 85 / 100);
}

TEST(StoppingRule, TimeEndsAPointEarly) {
  const StoppingRule rule{.confidence_width = 0.01, .min_samples = 10, .max_samples = 200, .max_time_s = 1.0};
  const Outcome quiet = run_rule(rule, 0.3, 0.0001);
  EXPECT_EQ(quiet.samples, 4u) << "3.3 samples fit";
  EXPECT_EQ(quiet.decision, StoppingDecision::Settled);
  const Outcome noisy = run_rule(rule, 0.3, 0.5);
  EXPECT_LE(noisy.samples, 8u);
  EXPECT_EQ(noisy.decision, StoppingDecision::Unsettled);
  EXPECT_GE(run_rule(rule, 50.0, 0.0001).samples, 2u);
}

TEST(StoppingRule, ContradictionsAreRefused) {
  EXPECT_NO_THROW(check_stopping_rule({}));
  EXPECT_THROW(check_stopping_rule({.confidence_width = 0.0}), UsageError);
  EXPECT_THROW(check_stopping_rule({.min_samples = 1}), UsageError);
  EXPECT_THROW(check_stopping_rule({.min_samples = 20, .max_samples = 10}), UsageError);
  EXPECT_THROW(check_stopping_rule({.max_time_s = std::nan("")}), UsageError);
}

}  // namespace
}  // namespace gem
