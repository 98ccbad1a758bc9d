#include "mapping/comparison.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "mapping/paper_method.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

TEST(Comparison, ScoreIsTheSumOverLayersOfTheSlowestDevice) {
  const auto made = testing::made_up_problem(8, 4, 25, 1, 3);
  const Assignment assignment{0, 1, 2, 3, 3, 2, 1, 0};
  std::int64_t cost = 0;
  for (const LayerProblem& problem : made.problems) cost += testing::cost_by_hand(problem, assignment);
  const Mapping mapping = mapping_of(std::vector<Assignment>(3, assignment), {}, 4);
  const Score score = score_of(made.problems, mapping);
  EXPECT_NEAR(score.mean_s, static_cast<double>(cost) * 1e-9 / 25.0, 1e-15);
  EXPECT_GT(score.p99_s, score.mean_s);
  EXPECT_GT(score.imbalance, 1.0);
}

TEST(Comparison, TheTableNamesWhatIsInSample) {
  const Score score{1e-3, 2e-3, 1.1};
  const std::vector<ComparedMethod> methods{{"linear", score, score}, {"gem", score, score}};
  EXPECT_NE(comparison_table(methods, {1e-3, 1e-3}, true, Sample::InSample).find("in-sample"), std::string::npos);
  EXPECT_NE(comparison_table(methods, {1e-3, 1e-3}, true, Sample::LaterSteps).find("held-out"), std::string::npos);
  const std::string train_only = comparison_table(methods, {1e-3, 0.0}, false, Sample::InSample);
  EXPECT_EQ(train_only.find("in-sample"), std::string::npos);
}

TEST(Comparison, LongNamesLeaveTheTableAsNarrowAsATerminal) {
  const Score score{12.3456e-3, 13.4567e-3, 1.1};
  const std::vector<ComparedMethod> methods{{"linear", score, score}, {"eplb-hierarchical+lp", score, score}};
  for (const bool has_test : {true, false}) {
    std::istringstream lines(comparison_table(methods, {12e-3, 12e-3}, has_test, Sample::HeldOutRequests));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80u) << line;
  }
}

TEST(PaperMethod, UsesTheLastSixteenSteps) {
  const LatencyProfile profile = testing::made_up_profile(4, 2);
  LoadTrace trace = testing::made_up_trace(40, 2, 8, 5);
  const Matrix<std::int32_t> mapping = paper_mapping(profile, trace).expert_to_device;
  EXPECT_EQ(paper_mapping(profile, steps_of(trace, 24, 16)).expert_to_device, mapping);
  for (std::size_t layer = 0; layer < 2; ++layer)
    for (std::int32_t device = 0; device < 4; ++device)
      EXPECT_EQ(std::count(mapping.row(layer).begin(), mapping.row(layer).end(), device), 2);
}

}  // namespace
}  // namespace gem
