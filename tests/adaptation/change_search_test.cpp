#include "adaptation/change_search.hpp"

#include <gtest/gtest.h>

#include "cost/cost_model.hpp"
#include "mapping/baselines.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "synthetic_task.hpp"

namespace gem {
namespace {

LoadTrace task(std::uint64_t seed) {
  return test::synthetic_task(seed, 64, 8);
}

// From what another task was searched for.
struct Asked {
  LatencyProfile profile = testing::made_up_profile(4, 8);
  AdaptationOptions options;
  ChangeQuestion question;
  Asked() {
    const LoadTrace all = task(2);
    question.slowdowns.assign(4, 1.0);
    question.searched = steps_of(all, 0, 32);
    question.judged = steps_of(all, 32, 32);
    question.all = all;
    question.iterations = 5;
    question.present = assignments_of(packed_mapping(PackedBy::Speed, CostModel(profile), task(1), {}));
    options.move_s = 1e-6;
  }
};

TEST(ChangeSearch, InPiecesItFindsWhatItFindsAtOnceAndDoesSoMuchAtATime) {
  const Asked asked;
  ChangeSearch at_once(asked.profile, asked.options, asked.question);
  std::size_t work = 1'000'000;
  ASSERT_TRUE(at_once.advance(work));
  const std::vector<LayerChange> expected = at_once.changes();
  ASSERT_FALSE(expected.empty());
  const std::size_t judged_work = 8 * 32 * 32, searched_work = expected.size() * 64 * 32;
  EXPECT_LE(1'000'000 - work, judged_work + 8 * 64 * 32);
  EXPECT_GE(1'000'000 - work, judged_work + searched_work);

  for (const std::size_t piece : {std::size_t{1}, std::size_t{3000}, std::size_t{6000}}) {
    ChangeSearch search(asked.profile, asked.options, asked.question);
    std::size_t pieces = 0;
    for (bool done = false; !done; ++pieces) {
      std::size_t left = piece;
      done = search.advance(left);
    }
    if (piece < judged_work) {
      EXPECT_GT(pieces, 1u) << piece;
    }
    if (piece == 1) {
      EXPECT_GE(pieces, 8u + expected.size()) << "a layer at a time";
    }
    const std::vector<LayerChange> changes = search.changes();
    ASSERT_EQ(changes.size(), expected.size()) << piece;
    for (std::size_t c = 0; c < changes.size(); ++c) {
      EXPECT_EQ(changes[c].layer, expected[c].layer);
      EXPECT_EQ(changes[c].assignment, expected[c].assignment);
    }
  }
}

TEST(ChangeSearch, WhatDoesNotPayIsNotSearchedOnAllSteps) {
  Asked asked;
  asked.options.move_s = 1e3;
  ChangeSearch search(asked.profile, asked.options, asked.question);
  std::size_t work = 1'000'000;
  ASSERT_TRUE(search.advance(work));
  EXPECT_TRUE(search.changes().empty());
  EXPECT_EQ(work, 1'000'000u - 8 * 32 * 32);
}

}  // namespace
}  // namespace gem
