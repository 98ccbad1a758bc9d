#include "search/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <stdexcept>
#include <utility>

#include "search/delta_check.hpp"
#include "search/descent.hpp"
#include "search/layer_search.hpp"
#include "search/moves.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

using testing::cost_by_hand;
using testing::load_rules;
using testing::made_up_problem;

struct Shape {
  std::size_t experts, devices, steps;
};
constexpr Shape shapes[] = {{4, 2, 1},    {8, 4, 17},   {6, 6, 40},  {16, 4, 16}, {32, 8, 300},
                            {12, 2, 600}, {36, 4, 100}, {10, 4, 33}, {7, 3, 20}};

TEST(Placement, CostIsThatOfTheObviousSum) {
  for (const Shape& shape : shapes)
    for (const auto& [features, rule] : {std::pair{LoadFeatures::TilesAndExperts, load_rules()[0]},
                                         std::pair{LoadFeatures::TilesAndExperts, load_rules()[1]},
                                         std::pair{LoadFeatures::Tokens, load_rules()[1]}}) {
      const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 7, 1, features, rule);
      const LayerProblem& problem = made.problems[0];
      RandomStream random{1};
      const Assignment assignment = random_assignment(problem, random);
      EXPECT_EQ(Placement(problem, assignment).cost(), cost_by_hand(problem, assignment)) << shape.experts;
    }
}

// Cost after two experts of different devices changed places.
std::int64_t swapped_cost(const Placement& placement, std::int32_t first, std::int32_t second) {
  Assignment assignment = placement.assignment();
  std::swap(assignment[static_cast<std::size_t>(first)], assignment[static_cast<std::size_t>(second)]);
  return Placement(placement.problem(), assignment).cost();
}

// The best swap of the experts of two devices by trying them all, the first in slot order of equal ones.
std::optional<FoundMove> best_swap_by_hand(const Placement& placement, std::int32_t a, std::int32_t b) {
  FoundMove best{{}, 0};
  for (const std::int32_t first : placement.experts_of(a))
    for (const std::int32_t second : placement.experts_of(b)) {
      const std::int64_t change = swapped_cost(placement, first, second) - placement.cost();
      if (change < best.change) best = {{{first, b}, {second, a}}, change};
    }
  return best.change < 0 ? std::optional(best) : std::nullopt;
}

std::unique_ptr<Move> swap_move() {
  for (auto& move : make_moves())
    if (move->name() == "swap") return std::move(move);
  return nullptr;
}

void expect_best_swaps(const Placement& placement) {
  const auto move = swap_move();
  const auto devices = static_cast<std::int32_t>(placement.problem().device_count());
  for (std::int32_t a = 0; a < devices; ++a)
    for (std::int32_t b = a + 1; b < devices; ++b) {
      const auto found = move->evaluate(placement, a, b), expected = best_swap_by_hand(placement, a, b);
      ASSERT_EQ(found.has_value(), expected.has_value());
      if (!found) continue;
      EXPECT_EQ(found->change, expected->change);
      ASSERT_EQ(found->relocations.size(), 2u);
      for (std::size_t i = 0; i < 2; ++i) {
        EXPECT_EQ(found->relocations[i].expert, expected->relocations[i].expert) << "of equal ones the first";
        EXPECT_EQ(found->relocations[i].device, expected->relocations[i].device);
      }
    }
}

TEST(Placement, CostStaysThatOfTheObviousSumAfterAnyChange) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 11, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{shape.experts, shape.steps};
    Placement placement(problem, random_assignment(problem, random));
    for (int i = 0; i < 50; ++i) {
      const auto first = static_cast<std::int32_t>(random.below(shape.experts));
      const auto second = static_cast<std::int32_t>(random.below(shape.experts));
      if (placement.device_of(first) == placement.device_of(second)) continue;
      const Relocation swap[] = {{first, placement.device_of(second)}, {second, placement.device_of(first)}};
      placement.apply(swap);
      ASSERT_EQ(placement.cost(), cost_by_hand(problem, placement.assignment()));
    }
  }
}

TEST(Placement, ThreeExpertsCanGoRoundInOneChange) {
  const auto made = made_up_problem(12, 3, 40, 2);
  Placement placement(made.problems[0], {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2});
  const Relocation round[] = {{3, 1}, {1, 2}, {8, 0}};
  placement.apply(round);
  EXPECT_EQ(placement.assignment(), (Assignment{0, 2, 2, 1, 1, 2, 0, 1, 0, 0, 1, 2}));
  EXPECT_EQ(placement.experts_of(0), (std::vector<std::int32_t>{0, 8, 6, 9})) << "they take the slots that are free";
  EXPECT_EQ(placement.cost(), cost_by_hand(made.problems[0], placement.assignment()));
}

TEST(Placement, WhatTwoDevicesCanSaveIsWhatTheOthersLeave) {
  const auto made = made_up_problem(16, 4, 50, 3);
  const Placement placement(made.problems[0], {0, 1, 2, 3, 3, 2, 1, 0, 0, 1, 1, 0, 2, 2, 3, 3});
  for (std::int32_t a = 0; a < 4; ++a)
    for (std::int32_t b = 0; b < 4; ++b) {
      if (a == b) continue;
      std::int64_t others_cost = 0;
      for (std::size_t t = 0; t < 50; ++t) {
        std::int32_t slowest = 0;
        for (std::int32_t d = 0; d < 4; ++d)
          if (d != a && d != b) slowest = std::max(slowest, placement.time(d)[t]);
        others_cost += slowest;
      }
      EXPECT_EQ(placement.max_saving(a, b), placement.cost() - others_cost);
    }
}

TEST(Placement, AFloorHidesWhatIsBelowIt) {
  auto made = made_up_problem(16, 4, 50, 19);
  LayerProblem& problem = made.problems[0];
  RandomStream random{7};
  const Assignment assignment = random_assignment(problem, random);
  std::vector<std::int32_t> floor(problem.column_count(), 0);
  std::int64_t expected = 0;
  {
    const Placement free(problem, assignment);
    for (std::size_t t = 0; t < 50; ++t) {
      floor[t] = static_cast<std::int32_t>(random.below(2) * static_cast<std::uint64_t>(free.column_cost()[t]) * 5 / 4);
      expected += std::max(floor[t], free.column_cost()[t]);
    }
  }
  problem.set_floor(floor);
  const Placement placement(problem, assignment);
  EXPECT_EQ(placement.cost(), expected);
  expect_best_swaps(placement);
}

TEST(SwapMove, FindsTheBestSwapOfEveryPairOfDevices) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 13, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{shape.steps};
    const Placement placement(problem, random_assignment(problem, random));
    expect_best_swaps(placement);
    const auto move = swap_move();
    for (std::int32_t a = 0; a < static_cast<std::int32_t>(shape.devices); ++a)
      for (std::int32_t b = a + 1; b < static_cast<std::int32_t>(shape.devices); ++b) move->evaluate(placement, a, b);
    EXPECT_LE(move->work().evaluated_steps, 2 * move->work().candidate_steps + 512 * shape.devices * shape.experts);
  }
}

// Of what the pair's best swap brings within the limit of moves, all that is above `to_beat`.
std::optional<FoundMove> best_allowed_swap_by_hand(const Placement& placement, std::int32_t a, std::int32_t b,
                                                   std::int64_t to_beat) {
  FoundMove best{{}, -to_beat};
  for (const std::int32_t first : placement.experts_of(a))
    for (const std::int32_t second : placement.experts_of(b)) {
      Assignment assignment = placement.assignment();
      std::swap(assignment[static_cast<std::size_t>(first)], assignment[static_cast<std::size_t>(second)]);
      const Placement after(placement.problem(), assignment);
      const bool allowed = after.moves() <= std::max(placement.moves(), placement.problem().move_limit().max_moves);
      if (allowed && after.cost() - placement.cost() < best.change)
        best = {{{first, b}, {second, a}}, after.cost() - placement.cost()};
    }
  return best.relocations.empty() ? std::nullopt : std::optional(best);
}

// The bounds by which pairs and swaps are left out change nothing but the time: whatever is to be beaten, the best swap
// is found where it beats it, and none where it doesn't.
void expect_gain_to_beat(const Placement& placement, std::int32_t a, std::int32_t b, std::size_t& kept) {
  const auto best = best_allowed_swap_by_hand(placement, a, b, 0);
  const std::int64_t gain = best ? -best->change : 0;
  const auto move = swap_move();
  for (const std::int64_t to_beat : {std::int64_t{0}, gain / 2, gain - 1, gain, gain + 1, 2 * gain + 1}) {
    if (to_beat < 0) continue;
    const auto found = move->evaluate(placement, a, b, to_beat);
    const auto expected = best_allowed_swap_by_hand(placement, a, b, to_beat);
    ASSERT_EQ(found.has_value(), gain > to_beat) << "gain " << gain << ", to beat " << to_beat;
    ASSERT_EQ(expected.has_value(), gain > to_beat);
    if (!found) continue;
    ++kept;
    EXPECT_EQ(found->change, best->change);
    ASSERT_EQ(found->relocations.size(), 2u);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(found->relocations[i].expert, best->relocations[i].expert) << "of equal ones the first";
      EXPECT_EQ(found->relocations[i].device, best->relocations[i].device);
    }
  }
}

TEST(SwapMove, KeepsWhatBeatsAGainWithinTheLimitOfMoves) {
  // Experts, devices and steps; the last rule has loads of several planes, of which not all swaps are summed at once.
  constexpr Shape few[] = {{8, 4, 17}, {16, 4, 16}, {24, 3, 40}, {36, 4, 8}, {7, 3, 20}};
  std::size_t kept = 0, returned = 0;
  for (const Shape& shape : few)
    for (const LoadCosts& rule : load_rules())
      for (const std::int64_t price : {0, 300, 40000})
        for (const std::size_t limit : {std::size_t{2}, std::size_t{3}, std::size_t{SIZE_MAX}}) {
          auto made =
              made_up_problem(shape.experts, shape.devices, shape.steps, 23, 1, LoadFeatures::TilesAndExperts, rule);
          LayerProblem& problem = made.problems[0];
          RandomStream random{shape.experts, limit};
          Assignment assignment = random_assignment(problem, random);
          DeviceContents present(shape.devices);
          for (std::size_t e = 0; e < shape.experts; ++e)
            present[static_cast<std::size_t>(assignment[e])].push_back(static_cast<std::int32_t>(e));
          problem.set_present(present, {limit, price});
          // Nothing has moved; two experts have, so that returns bring their price back; two more, if they may.
          for (std::size_t moved = 0; moved < 3; ++moved) {
            const Placement placement(problem, assignment);
            for (std::int32_t a = 0; a < static_cast<std::int32_t>(shape.devices); ++a)
              for (std::int32_t b = a + 1; b < static_cast<std::int32_t>(shape.devices); ++b)
                ASSERT_NO_FATAL_FAILURE(expect_gain_to_beat(placement, a, b, kept));
            returned += placement.moves();
            const auto other = static_cast<std::size_t>(
                std::ranges::find_if(assignment, [&](std::int32_t d) { return d != assignment[moved]; }) -
                assignment.begin());
            if (2 * moved + 2 <= limit) std::swap(assignment[moved], assignment[other]);
          }
        }
  EXPECT_GT(kept, 1000u) << "then the test would show little";
  EXPECT_GT(returned, 0u);
}

// Experts that come in equal pairs: each swap has three others that are worth the same.
TEST(SwapMove, OfEqualSwapsItIsTheFirstInSlotOrder) {
  std::size_t found = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    auto made = made_up_problem(16, 4, 30, seed);
    for (std::size_t t = 0; t < 30; ++t)
      for (std::size_t e = 0; e < 16; e += 2) made.trace.counts(t, 0, e + 1) = made.trace.counts(t, 0, e);
    const LayerProblem problem = layer_problems(CostModel(made.profile), made.trace)[0];
    const Placement placement(problem, {0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 1, 1, 2, 2, 3, 3});
    expect_best_swaps(placement);
    for (std::int32_t b = 1; b < 4; ++b) found += best_swap_by_hand(placement, 0, b).has_value() ? 1 : 0;
  }
  EXPECT_GT(found, 0u) << "then the test would show nothing";
}

TEST(Moves, WhatTheyChangeIsTheFullCost) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 5, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    RandomStream random{shape.steps};
    Placement placement(made.problems[0], random_assignment(made.problems[0], random));
    for (const auto& move : make_moves())
      for (std::int32_t a = 0; a < static_cast<std::int32_t>(shape.devices); ++a)
        for (std::int32_t b = a + 1; b < static_cast<std::int32_t>(shape.devices); ++b) {
          const auto found = move->evaluate(placement, a, b);
          if (!found) continue;
          EXPECT_LT(found->change, 0) << move->name();
          const std::int64_t before = placement.cost();
          placement.apply(found->relocations);
          ASSERT_EQ(cost_by_hand(made.problems[0], placement.assignment()), before + found->change) << move->name();
          ASSERT_EQ(placement.cost(), before + found->change) << move->name();
        }
  }
}

TEST(Moves, ADeltaThatIsWrongIsFoundInTheLoop) {
  const auto made = made_up_problem(16, 4, 50, 3);
  RandomStream random{7};
  Placement placement(made.problems[0], random_assignment(made.problems[0], random));
  const std::int64_t before = placement.cost();
  const Relocation swap[] = {{placement.experts_of(0)[0], 1}, {placement.experts_of(1)[0], 0}};
  placement.apply(swap);
  EXPECT_NO_THROW(check_delta(placement, before, placement.cost() - before, "swap"));
  EXPECT_THROW(check_delta(placement, before, placement.cost() - before + 1, "swap"), std::logic_error);
}

TEST(Descent, EndsWhereNoSwapHelps) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 17, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    RandomStream random{shape.steps};
    Placement placement(made.problems[0], random_assignment(made.problems[0], random));
    const std::int64_t before = placement.cost();
    Descent().run(placement);
    EXPECT_LE(placement.cost(), before);
    for (std::int32_t first = 0; first < static_cast<std::int32_t>(shape.experts); ++first)
      for (std::int32_t second = 0; second < first; ++second)
        if (placement.device_of(first) != placement.device_of(second)) {
          ASSERT_GE(swapped_cost(placement, first, second), placement.cost());
        }
  }
}

// The best move of the first kind that has any, new finders each time.
std::optional<FoundMove> best_move(const Placement& placement, std::int32_t a, std::int32_t b) {
  for (const auto& move : make_moves())
    if (auto found = move->evaluate(placement, a, b)) return found;
  return std::nullopt;
}

// The same sweeps with a list of the pairs to look at: those with a device that has changed.
Assignment repaired_by_hand(Placement placement, std::span<const std::int32_t> changed) {
  const auto devices = static_cast<std::int32_t>(placement.problem().device_count());
  std::set<std::pair<std::int32_t, std::int32_t>> open;
  const auto mark = [&](std::int32_t device) {
    for (std::int32_t other = 0; other < devices; ++other)
      if (other != device) open.insert({std::min(device, other), std::max(device, other)});
  };
  for (const std::int32_t device : changed) mark(device);
  while (!open.empty())
    for (std::int32_t a = 0; a < devices; ++a)
      for (std::int32_t b = a + 1; b < devices; ++b) {
        if (!open.contains({a, b})) continue;
        if (const auto found = best_move(placement, a, b)) {
          placement.apply(found->relocations);
          mark(a);
          mark(b);
        } else {
          open.erase({a, b});
        }
      }
  return placement.assignment();
}

TEST(Descent, ARepairLooksAgainAtAllPairsWithADeviceThatHasChanged) {
  std::size_t improved = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const auto made = made_up_problem(18, 6, 40, seed);
    RandomStream random{seed};
    Placement placement(made.problems[0], random_assignment(made.problems[0], random));
    Descent().run(placement);
    const Relocation swap[] = {{placement.experts_of(1)[0], 4}, {placement.experts_of(4)[2], 1}};
    placement.apply(swap);
    const std::int32_t changed[] = {1, 4};
    const Assignment expected = repaired_by_hand(placement, changed);
    improved += expected != placement.assignment() ? 1 : 0;
    Descent().repair(placement, changed);
    EXPECT_EQ(placement.assignment(), expected) << "seed " << seed;
  }
  EXPECT_GT(improved, 20u) << "then the test would show little";
}

// The best moves of each kind between each two devices that still lower the cost.
std::vector<FoundMove> moves_left(const Placement& placement) {
  std::vector<FoundMove> moves;
  const auto devices = static_cast<std::int32_t>(placement.problem().device_count());
  for (std::int32_t a = 0; a < devices; ++a)
    for (std::int32_t b = a + 1; b < devices; ++b)
      for (const auto& move : make_moves())
        if (auto found = move->evaluate(placement, a, b)) moves.push_back(std::move(*found));
  return moves;
}

TEST(Descent, MovesThatBringTooLittleAreNotMade) {
  std::size_t left = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto made = made_up_problem(18, 6, 40, seed);
    RandomStream random{seed};
    Placement placement(made.problems[0], random_assignment(made.problems[0], random));
    const std::int64_t to_beat = placement.cost() / 100;
    Descent descent;
    descent.set_to_beat(to_beat);
    descent.run(placement);
    for (const FoundMove& found : moves_left(placement)) {
      ++left;
      EXPECT_LE(-found.change, to_beat) << "seed " << seed;
    }
  }
  EXPECT_GT(left, 10u) << "then the test would show little";
}

TEST(RunStart, WhatBringsLittleIsLeftToTheLastDescent) {
  std::uint64_t looked_up = 0, looked_up_of_all = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const auto made = made_up_problem(24, 6, 40, seed);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{seed};
    const Assignment initial = random_assignment(problem, random);
    StartRule rule{.iterations = 5, .least_gain = 3e-3};
    const StartResult found = run_start(problem, initial, random, rule);
    const Placement end(problem, found.assignment);
    EXPECT_TRUE(moves_left(end).empty()) << "seed " << seed;
    looked_up += found.work.evaluated_steps;
    looked_up_of_all += run_start(problem, initial, random, {.iterations = 5}).work.evaluated_steps;
    rule.last_descent = false;
    EXPECT_GE(run_start(problem, initial, random, rule).cost, found.cost) << "seed " << seed;
  }
  EXPECT_LT(looked_up, looked_up_of_all);
}

TEST(RunStart, OnlyLargeLayersLeaveOutWhatBringsLittle) {
  EXPECT_EQ(least_gain_of(made_up_problem(large_layer - 8, 8, 4, 1).problems[0]), 0.0);
  EXPECT_GT(least_gain_of(made_up_problem(large_layer, 8, 4, 1).problems[0]), 0.0);
}

}  // namespace
}  // namespace gem
