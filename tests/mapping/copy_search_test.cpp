#include "mapping/copy_search.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "mapping/baselines.hpp"
#include "mapping/mapping_answer.hpp"
#include "mapping/mapping_costs.hpp"
#include "mapping/mapping_question.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"

namespace gem {
namespace {

// Many tokens, so that what a copy's weights take is little, and experts that are busy in few steps.
LoadTrace heavy_trace(std::size_t steps, std::size_t layers, std::size_t experts, std::uint64_t seed) {
  LoadTrace trace = testing::made_up_trace(steps, layers, experts, seed);
  for (std::uint32_t& tokens : trace.counts.values()) tokens *= 16;
  return trace;
}

// What each layer's first local optimum costs with these copies in the order of files, s a step.
std::vector<double> first_costs_s(const CostModel& model, const LoadTrace& trace, const CopyCounts& copies) {
  const std::vector<LayerProblem> problems = problems_of(model, trace, copies);
  const ModelAnswer found = first_optima(Communicator::world(), problems,
                                         assignments_of(packed_mapping(PackedBy::Speed, model, trace, copies)), {});
  std::vector<double> costs_s;
  for (std::size_t layer = 0; layer < problems.size(); ++layer) {
    Assignment assignment = found.layers[layer].assignment;
    order_copies(assignment, problems[layer].expert_of_copy());
    costs_s.push_back(mean_seconds(problems[layer], cost_of(problems[layer], assignment)));
  }
  return costs_s;
}

TEST(CopySearch, NoWayIsBetterWhereAllAreSearchedOnAllSteps) {
  const std::size_t devices = 8, copies = 16;
  const LoadTrace trace = heavy_trace(24, 2, 24, 1);
  const LatencyProfile profile = testing::made_up_profile(devices, (24 + copies) / devices);
  const CostModel model(profile);
  CopyCounts last(2, 24, 1);  // what no rule chooses
  for (std::size_t layer = 0; layer < 2; ++layer)
    for (std::size_t expert = 0; expert < copies; ++expert) ++last(layer, 23 - expert);
  const auto with = [&](const std::vector<CopyCounts>& others) {
    return first_costs_s(model, trace, search_copies(Communicator::world(), model, trace, trace, copies, {}, others));
  };
  std::vector<CopyCounts> ways = ways_to_copy(trace, copies, devices);
  ways.push_back(last);
  const std::vector<double> found_s = with({last});
  for (std::size_t way = 0; way < ways.size(); ++way) {
    const std::vector<double> way_s = first_costs_s(model, trace, ways[way]);
    for (std::size_t layer = 0; layer < 2; ++layer) EXPECT_LE(found_s[layer], way_s[layer]) << way;
  }
}

TEST(CopySearch, WaysThatAreSiftedOnSomeStepsAreNearlyTheBestOnAll) {
  const std::size_t devices = 8, copies = 16;
  const LoadTrace trace = heavy_trace(128, 1, 24, 2);
  const LatencyProfile profile = testing::made_up_profile(devices, (24 + copies) / devices);
  const CostModel model(profile);
  const std::vector<double> found_s =
      first_costs_s(model, trace, search_copies(Communicator::world(), model, trace, trace, copies, {}));
  for (const CopyCounts& way : ways_to_copy(trace, copies, devices)) {
    const std::vector<double> way_s = first_costs_s(model, trace, way);
    EXPECT_LE(found_s[0], way_s[0] * 1.005);
  }
}

TEST(CopySearch, SaysHowManyDescentsItTakes) {
  EXPECT_EQ(copy_search_descents(12, 127), 12.0);
  EXPECT_EQ(copy_search_descents(12, 512), 12.0 * 64 / 512 + 2.0);  // two are left once they were sifted
  EXPECT_EQ(copy_search_descents(2, 512), 2.0);
}

// Where copies' weights take little: with few tokens no placement of more copies can be as good, for each takes tokens.
TEST(CopySearch, MoreCopiesAreNotWorse) {
  double fewer_s = INFINITY;
  for (const std::size_t copies : {0, 8, 16, 32, 64, 128}) {
    MappingQuestion question;
    question.train = heavy_trace(24, 1, 32, 1);
    question.profile = testing::made_up_profile(8, (32 + copies) / 8);
    question.redundant_experts = copies;
    question.search.iterations = 2;
    const MappingAnswer answer = find_mapping(Communicator::world(), question);
    MappingCosts costs(CostModel(question.profile), question.train);
    const double found_s = costs.score(answer.mapping()).mean_s;
    EXPECT_LE(found_s, fewer_s) << copies << " copies";
    fewer_s = found_s;
  }
}

}  // namespace
}  // namespace gem
