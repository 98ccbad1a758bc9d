#include "workload/batching.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>

#include "base/error.hpp"
#include "workload/routing_examples.hpp"

namespace gem {
namespace {

std::uint64_t sum_of(const LoadTrace& trace, std::size_t step, std::size_t layer) {
  const auto row = trace.counts.row(step, layer);
  return std::accumulate(row.begin(), row.end(), std::uint64_t{0});
}

void expect_conserved(const LoadTrace& trace) {
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    for (std::size_t layer = 0; layer < trace.layer_count(); ++layer) {
      ASSERT_EQ(sum_of(trace, step, layer), trace.tokens_per_step * trace.top_k) << step << " " << layer;
      ASSERT_LE(*std::ranges::max_element(trace.counts.row(step, layer)), trace.tokens_per_step);
    }
  }
}

/// Tokens of each expert over all steps.
std::vector<std::uint64_t> totals(const LoadTrace& trace, std::size_t layer) {
  std::vector<std::uint64_t> sums(trace.expert_count());
  for (std::size_t step = 0; step < trace.step_count(); ++step)
    for (std::size_t expert = 0; expert < sums.size(); ++expert) sums[expert] += trace.counts(step, layer, expert);
  return sums;
}

BatchingOptions decode_options(std::size_t batch_size, std::size_t steps, std::uint64_t seed = 0) {
  BatchingOptions options;
  options.batch_size = batch_size;
  options.steps = steps;
  options.seed = seed;
  return options;
}

TEST(Batching, EveryCountIsConservedAtAnyNumberOfSteps) {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    const Routing routing = random_routing(1 + seed, 40, 3, 8, 1 + seed % 3, "decode", seed);
    for (const std::size_t batch_size : {1, 5, 64}) {
      const LoadTrace trace = batch_routing(routing, decode_options(batch_size, 37, seed));
      EXPECT_EQ(trace.step_count(), 37u);
      expect_conserved(trace);
    }
    BatchingOptions prefill;
    prefill.phase = Phase::Prefill;
    prefill.chunk_tokens = 50;
    prefill.steps = 21;
    prefill.seed = seed;
    const LoadTrace trace = batch_routing(routing, prefill);
    EXPECT_EQ(trace.phase, "prefill");
    EXPECT_EQ(trace.step_count(), 21u);
    expect_conserved(trace);
  }
}

TEST(Batching, ResampledStepsDrawTheirOwnRequests) {
  const Routing routing = random_routing(40, 60, 2, 8, 2, "decode", 3);
  for (const Phase phase : {Phase::Decode, Phase::Prefill}) {
    BatchingOptions options;
    options.phase = phase;
    (phase == Phase::Decode ? options.batch_size : options.chunk_tokens) = 64;
    options.steps = 200;
    options.part = RequestPart::Train;
    options.resample = true;
    const LoadTrace trace = batch_routing(routing, options);
    expect_conserved(trace);
    EXPECT_EQ(trace, batch_routing(routing, options)) << word_of(phase);  // a function of the seed
    // Step by step: fewer steps are the first of more.
    options.steps = 50;
    EXPECT_EQ(batch_routing(routing, options), steps_of(trace, 0, 50)) << word_of(phase);
  }
}

// A request has an expert of its own here: whose tokens share a step is seen from the counts.
TEST(Batching, ResampledStepsHoldHalfOfTheRequestsAtMost) {
  Routing routing = random_routing(16, 50, 1, 16, 1, "decode", 5);
  for (std::size_t request = 0; request < routing.request_count(); ++request)
    for (auto token = routing.request_offsets[request]; token < routing.request_offsets[request + 1]; ++token)
      routing.topk_ids[static_cast<std::size_t>(token)] = static_cast<std::uint16_t>(request);
  BatchingOptions options = decode_options(512, 64);
  options.resample = true;
  const LoadTrace trace = batch_routing(routing, options);
  std::vector<bool> met(16);
  for (std::size_t step = 0; step < trace.step_count(); ++step) {
    std::size_t requests = 0;
    for (std::size_t expert = 0; expert < 16; ++expert) {
      requests += trace.counts(step, 0, expert) > 0;
      if (trace.counts(step, 0, expert) > 0) met[expert] = true;
    }
    EXPECT_LE(requests, 8u) << step;
  }
  EXPECT_EQ(std::ranges::count(met, true), 16);
}

TEST(Batching, TheTestPartIsNeverDrawnAnew) {
  const Routing routing = random_routing(16, 50, 1, 16, 1, "decode", 5);
  BatchingOptions options = decode_options(8, 4);
  options.resample = true;
  options.request_groups = 2;
  options.part = RequestPart::Train;
  EXPECT_EQ(batch_routing(routing, options).sequence, "resampled");
  const LoadTrace scored = batch_routing(routing, scored_part(options));
  EXPECT_EQ(scored.part, "test");
  EXPECT_EQ(scored.sequence, "consecutive");
  EXPECT_TRUE(scored.request_groups.empty());
  options.part = RequestPart::Test;
  EXPECT_THROW(batch_routing(routing, options), OptionError);
}

// Each request has an expert of its own.
TEST(Batching, GroupsHaveNoRequestInCommon) {
  Routing routing = random_routing(16, 50, 1, 16, 1, "decode", 5);
  for (std::size_t request = 0; request < routing.request_count(); ++request)
    for (auto token = routing.request_offsets[request]; token < routing.request_offsets[request + 1]; ++token)
      routing.topk_ids[static_cast<std::size_t>(token)] = static_cast<std::uint16_t>(request);
  for (const bool resample : {false, true}) {
    BatchingOptions options = decode_options(64, 31);
    options.resample = resample;
    options.request_groups = 4;
    const LoadTrace trace = batch_routing(routing, options);
    expect_conserved(trace);
    ASSERT_EQ(trace.request_groups.size(), 31u);
    std::vector<std::int32_t> group_of(16, -1);
    for (std::size_t step = 0; step < trace.step_count(); ++step)
      for (std::size_t expert = 0; expert < 16; ++expert) {
        if (trace.counts(step, 0, expert) == 0) continue;
        if (group_of[expert] < 0) group_of[expert] = trace.request_groups[step];
        EXPECT_EQ(group_of[expert], trace.request_groups[step]);
      }
    for (std::int32_t group = 0; group < 4; ++group) EXPECT_GE(std::ranges::count(group_of, group), 2);
    EXPECT_EQ(steps_of(trace, 5, 2).request_groups, (std::vector<std::int32_t>{1, 2}));
  }
  BatchingOptions options = decode_options(64, 31);
  options.request_groups = 17;
  EXPECT_THROW(batch_routing(routing, options), OptionError);
}

TEST(Batching, TheTraceSaysWhatItIs) {
  const Routing routing = random_routing(6, 30, 2, 8, 2, "decode", 7);
  BatchingOptions options = decode_options(4, 0);
  options.part = RequestPart::Train;
  const LoadTrace trace = batch_routing(routing, options);
  EXPECT_EQ(trace.model, "example");
  EXPECT_EQ(trace.task, "random");
  EXPECT_EQ(trace.phase, "decode");
  EXPECT_EQ(trace.part, "train");
  EXPECT_EQ(trace.top_k, 2u);
  EXPECT_EQ(trace.tokens_per_step, 4u);
  EXPECT_EQ(trace.layer_ids, routing.layer_ids);
  EXPECT_EQ(trace.step_count(), token_count(routing, requests_of_part(routing, RequestPart::Train, 0.5, 0)) / 4);
  EXPECT_EQ(batch_routing(routing, decode_options(100000, 0)).step_count(), 1u);  // less than one pass, but one step
}

TEST(Batching, TheSeedDecides) {
  const Routing routing = random_routing(20, 40, 2, 16, 2, "decode", 1);
  for (const Phase phase : {Phase::Decode, Phase::Prefill}) {
    BatchingOptions options;
    options.phase = phase;
    options.steps = 20;
    const LoadTrace trace = batch_routing(routing, options);
    EXPECT_EQ(trace.counts, batch_routing(routing, options).counts);
    options.seed = 1;
    EXPECT_NE(trace.counts, batch_routing(routing, options).counts);
  }
}

TEST(Batching, DecodeStartsAmidstRequestsAndKeepsEachInOneSlot) {
  // 30 requests of 20 tokens in 10 slots: step 0 shows many positions, not first tokens alone.
  const Routing routing = telling_routing(std::vector<std::size_t>(30, 20), 32, "decode");
  const LoadTrace trace = batch_routing(routing, decode_options(10, 60));
  const auto first_positions = trace.counts.row(0, 1);
  EXPECT_GE(std::ranges::count_if(first_positions, [](std::uint32_t count) { return count > 0; }), 5);
  EXPECT_LE(first_positions[0], 4u);
  // Ten different requests are under way at first, and each leaves only when its last token is done: per step, the
  // requests that go are those at position 19.
  EXPECT_EQ(std::ranges::count(trace.counts.row(0, 0), 1u), 10);
  for (std::size_t step = 0; step + 1 < trace.step_count(); ++step) {
    const auto now = trace.counts.row(step, 1);
    const auto next = trace.counts.row(step + 1, 1);
    for (std::size_t position = 0; position + 1 < 20; ++position) ASSERT_EQ(next[position + 1], now[position]);
    ASSERT_EQ(next[0], now[19]);
  }
}

TEST(Batching, APassUsesEveryRequestBeforeAnyComesAgain) {
  // One pass is 600 tokens: after 60 steps of 10 slots every request has been under way.
  const Routing routing = telling_routing(std::vector<std::size_t>(30, 20), 32, "decode");
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const std::vector<std::uint64_t> used = totals(batch_routing(routing, decode_options(10, 60, seed)), 0);
    for (std::size_t request = 0; request < 30; ++request) EXPECT_GT(used[request], 0u) << request;
  }
}

TEST(Batching, PrefillUsesEveryTokenOfEveryPassOnce) {
  const Routing routing = telling_routing({3, 10, 7, 1, 9}, 16, "prefill");  // 30 tokens
  BatchingOptions options;
  options.chunk_tokens = 10;
  options.steps = 9;  // three passes
  const LoadTrace trace = batch_routing(routing, options);
  for (std::size_t pass = 0; pass < 3; ++pass) {
    const std::vector<std::uint64_t> used = totals(steps_of(trace, 3 * pass, 3), 0);
    EXPECT_EQ(std::vector<std::uint64_t>(used.begin(), used.begin() + 5), (std::vector<std::uint64_t>{3, 10, 7, 1, 9}));
  }
}

TEST(Batching, PartsShareNoRequestAndBalanceTokens) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomStream random{seed};
    std::vector<std::size_t> lengths;
    for (std::size_t request = 0; request < 2 + seed * 3; ++request) lengths.push_back(random.below(60));
    lengths.front() = lengths.back() = 10;  // two requests with tokens, at least
    const Routing routing = telling_routing(lengths, 64, "decode");
    for (const double split : {0.2, 0.5, 0.75}) {
      const auto train = requests_of_part(routing, RequestPart::Train, split, seed);
      const auto test = requests_of_part(routing, RequestPart::Test, split, seed);
      std::vector<std::size_t> both;
      std::ranges::merge(train, test, std::back_inserter(both));
      EXPECT_EQ(both, requests_of_part(routing, RequestPart::All, split, seed));
      EXPECT_TRUE(std::ranges::adjacent_find(both) == both.end());
      EXPECT_FALSE(train.empty());
      EXPECT_FALSE(test.empty());
      const double share = split * static_cast<double>(token_count(routing, both));
      EXPECT_LT(std::fabs(static_cast<double>(token_count(routing, train)) - share), 60.0);

      BatchingOptions options = decode_options(8, 40, 5);
      options.split = split;
      options.split_seed = seed;
      options.part = RequestPart::Train;
      const std::vector<std::uint64_t> train_tokens = totals(batch_routing(routing, options), 0);
      options.part = RequestPart::Test;
      options.seed = 6;  // the order differs, the parts do not
      const std::vector<std::uint64_t> test_tokens = totals(batch_routing(routing, options), 0);
      for (std::size_t request = 0; request < lengths.size(); ++request)
        EXPECT_TRUE(train_tokens[request] == 0 || test_tokens[request] == 0) << request;
    }
  }
}

TEST(Batching, OptionsMustFitThePhase) {
  const Routing decode = random_routing(4, 10, 1, 8, 2, "decode", 0);
  const Routing unknown = random_routing(4, 10, 1, 8, 2, "mixed", 0);
  BatchingOptions chunked;
  chunked.chunk_tokens = 16;
  EXPECT_THROW(batch_routing(decode, chunked), UsageError);
  EXPECT_THROW(batch_routing(unknown, {}), UsageError);
  chunked.phase = Phase::Prefill;
  EXPECT_EQ(batch_routing(decode, chunked).tokens_per_step, 16u);
  chunked.batch_size = 4;
  EXPECT_THROW(batch_routing(decode, chunked), UsageError);
  EXPECT_EQ(batch_routing(decode, {}).tokens_per_step, 256u);
}

TEST(Batching, ImpossiblePartsAreRefused) {
  const Routing routing = telling_routing({5}, 8, "decode");
  BatchingOptions options;
  options.part = RequestPart::Train;
  EXPECT_THROW(batch_routing(routing, options), UsageError);  // one request
  options.part = RequestPart::All;
  EXPECT_NO_THROW(batch_routing(routing, options));
  EXPECT_THROW(requests_of_part(telling_routing({5, 5}, 8, "decode"), RequestPart::Train, 1.0, 0), UsageError);
  EXPECT_THROW(batch_routing(telling_routing({0, 0}, 8, "decode"), {}), DataError);
  options.steps = std::size_t{1} << 60;
  EXPECT_THROW(batch_routing(routing, options), UsageError);  // does not fit into memory
}

}  // namespace
}  // namespace gem
