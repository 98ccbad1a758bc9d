#include "search/expert_groups.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <numeric>

#include "base/error.hpp"
#include "mapping/baselines.hpp"
#include "search/layer_search.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

using testing::cost_by_hand;
using testing::made_up_problem;

struct Shape {
  std::size_t experts, devices, groups;
};
constexpr Shape shapes[] = {{24, 4, 4}, {24, 2, 4}, {24, 4, 8}, {24, 8, 4},
                            {24, 4, 2}, {24, 4, 1}, {24, 1, 4}, {24, 4, 24}};

/// Whether each group has whole devices to itself, consecutive from a multiple of their number, or each device whole
/// groups; and all devices equally many experts.
void expect_together(const Assignment& assignment, const Shape& shape) {
  ASSERT_EQ(assignment.size(), shape.experts);
  const std::size_t per_group = shape.experts / shape.groups;
  const std::size_t block = std::max<std::size_t>(1, shape.devices / shape.groups);
  std::vector<std::size_t> held(shape.devices, 0);
  for (std::size_t e = 0; e < shape.experts; ++e) {
    const auto device = static_cast<std::size_t>(assignment[e]);
    ++held[device];
    EXPECT_EQ(device / block, static_cast<std::size_t>(assignment[e / per_group * per_group]) / block);
  }
  EXPECT_EQ(held, std::vector<std::size_t>(shape.devices, shape.experts / shape.devices));
}

TEST(ExpertGroups, StayTogetherInEveryAnswer) {
  for (const Shape& shape : shapes) {
    const ExpertGroups groups(shape.groups, shape.experts, shape.devices);
    const auto made = made_up_problem(shape.experts, shape.devices, 40, 5, 1, LoadFeatures::TilesAndExperts,
                                      testing::load_rules()[1]);
    const LayerProblem problem = groups.limited(made.problems[0]);
    for (std::uint64_t seed = 0; seed < 4; ++seed) {
      RandomStream random{seed};
      const Assignment start = random_assignment(problem, random);
      expect_together(groups.experts_of(start), shape);
      const StartResult result = run_start(problem, start, RandomStream{seed}, {20, {}});
      const Assignment experts = groups.experts_of(result.assignment);
      expect_together(experts, shape);
      EXPECT_EQ(groups.units_of(experts), result.assignment);
      EXPECT_EQ(result.cost, cost_by_hand(made.problems[0], experts));  // the limit changes no cost
      EXPECT_LE(result.cost, cost_of(problem, start));
    }
  }
}

TEST(ExpertGroups, WholeGroupsArePlacedAsWellAsCanBe) {
  const auto made = made_up_problem(24, 3, 30, 9);
  const ExpertGroups groups(6, 24, 3);
  const LayerProblem problem = groups.limited(made.problems[0]);
  std::int64_t least = INT64_MAX;
  testing::for_each_assignment(problem, [&](const Assignment& units) {
    least = std::min(least, cost_by_hand(made.problems[0], groups.experts_of(units)));
  });
  const StartResult result =
      run_start(problem, groups.units_of(groups.packed(std::vector<double>(24, 1.0), std::vector<double>(3, 1.0))),
                RandomStream{1}, {50, {}});
  EXPECT_EQ(result.cost, least);
}

TEST(ExpertGroups, PacksTheHeaviestGroupOnTheFastestBlock) {
  std::vector<double> loads(16, 1.0);
  std::fill_n(loads.begin() + 8, 4, 5.0);  // group 2 of 4
  const std::array speeds{1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0};
  for (const Shape& shape : shapes) {
    const ExpertGroups groups(shape.groups, shape.experts, shape.devices);
    expect_together(groups.packed(std::vector<double>(shape.experts, 2.0), std::vector<double>(shape.devices, 1.0)),
                    shape);
  }
  const Assignment packed = ExpertGroups(4, 16, 8).packed(loads, speeds);
  expect_together(packed, {16, 8, 4});
  EXPECT_EQ(packed[8] / 2, 3);
}

TEST(ExpertGroups, OneGroupAndGroupsOfOneExpertAreNoLimit) {
  for (const std::size_t groups : {1, 16}) {
    const auto made = made_up_problem(16, 4, 30, 3);
    RandomStream first{1}, second{1};
    const LayerProblem limited = ExpertGroups(groups, 16, 4).limited(made.problems[0]);
    const Assignment start = random_assignment(made.problems[0], first);
    EXPECT_EQ(random_assignment(limited, second), start);
    EXPECT_EQ(run_start(limited, start, RandomStream{2}, {20, {}}).assignment,
              run_start(made.problems[0], start, RandomStream{2}, {20, {}}).assignment);
  }
}

TEST(ExpertGroups, RefuseNumbersThatCannotStayTogether) {
  EXPECT_THROW(ExpertGroups(0, 24, 4), UsageError);
  EXPECT_THROW(ExpertGroups(5, 24, 4), UsageError);
  EXPECT_THROW(ExpertGroups(8, 24, 6), UsageError);
}

}  // namespace
}  // namespace gem
