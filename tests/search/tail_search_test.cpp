#include "search/tail_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "search/layer_search.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

TEST(TailSearch, MeanOfTheSlowest) {
  const std::vector<double> values{5, 1, 9, 3, 7, 2, 8, 4, 6, 10};
  EXPECT_EQ(mean_of_slowest(values, 0.1), 10.0);
  EXPECT_EQ(mean_of_slowest(values, 0.3), 9.0);
  EXPECT_EQ(mean_of_slowest(values, 1.0), 5.5);
  EXPECT_EQ(mean_of_slowest(values, 0.0), 10.0) << "one step at least";
}

TEST(TailSearch, NeverEndsWorseThanItBegan) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed)
    for (double share : {0.02, 0.2, 1.0}) {
      const auto made = testing::made_up_problem(8, 4, 50, seed, 3);
      std::vector<Assignment> assignments;
      RandomStream random{seed};
      for (const LayerProblem& problem : made.problems) assignments.push_back(random_assignment(problem, random));
      const auto value = [&](const std::vector<Assignment>& of) {
        const std::vector<std::int64_t> totals = step_totals(made.problems, of);
        return mean_of_slowest(std::vector<double>(totals.begin(), totals.end()), share);
      };
      const auto improved = improve_tail(made.problems, assignments, RandomStream{seed}, {share, 2, 5});
      EXPECT_LE(value(improved), value(assignments));
      if (share >= 0.2) {
        EXPECT_LT(value(improved), value(assignments)) << "a random assignment can be improved";
      }
    }
}

TEST(TailSearch, EndsWhenItIsTold) {
  const auto made = testing::made_up_problem(8, 4, 50, 1, 3);
  std::vector<Assignment> assignments;
  RandomStream random{1};
  for (const LayerProblem& problem : made.problems) assignments.push_back(random_assignment(problem, random));
  TailOptions options;
  options.stop_now = [] { return true; };
  EXPECT_EQ(improve_tail(made.problems, assignments, RandomStream{1}, options), assignments);
}

TEST(TailSearch, OfAllStepsItIsTheMean) {
  const auto made = testing::made_up_problem(8, 4, 30, 2);
  std::int64_t optimum = INT64_MAX;
  testing::for_each_assignment(made.problems[0], [&](const Assignment& assignment) {
    optimum = std::min(optimum, cost_of(made.problems[0], assignment));
  });
  RandomStream random{2};
  const auto improved =
      improve_tail(made.problems, {random_assignment(made.problems[0], random)}, RandomStream{1}, {1.0, 2, 100});
  EXPECT_EQ(cost_of(made.problems[0], improved[0]), optimum);
}

}  // namespace
}  // namespace gem
