#include "search/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "search/descent.hpp"
#include "search/layer_search.hpp"
#include "search/random_problem.hpp"
#include "search/swap_finder.hpp"

namespace gem {
namespace {

using testing::cost_by_hand;
using testing::load_rules;
using testing::made_up_problem;

struct Shape {
  std::size_t experts, devices, steps;
};
constexpr Shape shapes[] = {{4, 2, 1}, {8, 4, 17}, {6, 6, 40}, {16, 4, 16}, {32, 8, 300}, {12, 2, 600}, {36, 4, 100}};

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

TEST(Placement, DeltaEqualsFullCostAfterAnySwap) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 11, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{shape.experts, shape.steps};
    Placement placement(problem, random_assignment(problem, random));
    for (int i = 0; i < 50; ++i) {
      const Swap swap{static_cast<std::int32_t>(random.below(shape.experts)),
                      static_cast<std::int32_t>(random.below(shape.experts))};
      if (placement.assignment()[static_cast<std::size_t>(swap.first)] ==
          placement.assignment()[static_cast<std::size_t>(swap.second)])
        continue;
      const std::int64_t before = placement.cost(), change = placement.evaluate(swap);
      placement.apply(swap);
      ASSERT_EQ(placement.cost(), before + change);
      ASSERT_EQ(placement.cost(), cost_by_hand(problem, placement.assignment()));
    }
  }
}

TEST(Placement, PromiseIsWhatTheOthersLeave) {
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
      EXPECT_EQ(placement.promise(a, b), placement.cost() - others_cost);
    }
}

TEST(Placement, AFloorHidesWhatIsBelowIt) {
  auto made = made_up_problem(16, 4, 50, 19);
  LayerProblem& problem = made.problems[0];
  RandomStream random{7};
  const Assignment assignment = random_assignment(problem, random);
  std::vector<std::int32_t> floor(problem.padded_steps(), 0);
  std::int64_t expected = 0;
  {
    const Placement free(problem, assignment);
    for (std::size_t t = 0; t < 50; ++t) {
      floor[t] = static_cast<std::int32_t>(random.below(2) * static_cast<std::uint64_t>(free.step_cost()[t]) * 5 / 4);
      expected += std::max(floor[t], free.step_cost()[t]);
    }
  }
  problem.set_floor(floor);
  Placement placement(problem, assignment);
  EXPECT_EQ(placement.cost(), expected);
  SwapFinder finder;
  for (std::int32_t a = 0; a < 4; ++a)
    for (std::int32_t b = a + 1; b < 4; ++b) {
      std::int64_t best = 0;
      for (std::int32_t first : placement.experts_of(a))
        for (std::int32_t second : placement.experts_of(b)) {
          Placement swapped = placement;
          swapped.apply({first, second});
          EXPECT_EQ(placement.evaluate({first, second}), swapped.cost() - placement.cost());
          best = std::min(best, swapped.cost() - placement.cost());
        }
      const auto found = finder.best_swap(placement, a, b);
      EXPECT_EQ(found ? found->change : 0, best);
    }
}

TEST(SwapFinder, FindsTheBestSwapOfEveryPairOfDevices) {
  for (const Shape& shape : shapes) {
    const auto made = made_up_problem(shape.experts, shape.devices, shape.steps, 13, 1, LoadFeatures::TilesAndExperts,
                                      load_rules()[shape.experts / 4 % 2]);
    const LayerProblem& problem = made.problems[0];
    RandomStream random{shape.steps};
    const Placement placement(problem, random_assignment(problem, random));
    SwapFinder finder;
    for (std::int32_t a = 0; a < static_cast<std::int32_t>(shape.devices); ++a)
      for (std::int32_t b = a + 1; b < static_cast<std::int32_t>(shape.devices); ++b) {
        std::int64_t best = 0;
        for (std::int32_t first : placement.experts_of(a))
          for (std::int32_t second : placement.experts_of(b))
            best = std::min(best, placement.evaluate({first, second}));
        const auto found = finder.best_swap(placement, a, b);
        ASSERT_EQ(found ? found->change : 0, best);
        if (found) {
          ASSERT_EQ(placement.evaluate(found->swap), best);
        }
      }
    EXPECT_LE(finder.work().evaluated_steps, 2 * finder.work().candidate_steps + 512 * shape.devices * shape.experts);
  }
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
        if (placement.assignment()[static_cast<std::size_t>(first)] !=
            placement.assignment()[static_cast<std::size_t>(second)]) {
          ASSERT_GE(placement.evaluate({first, second}), 0);
        }
  }
}

}  // namespace
}  // namespace gem
