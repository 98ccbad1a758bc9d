#include "mapping/cross_validation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "base/error.hpp"
#include "mapping/leaning.hpp"
#include "search/random_problem.hpp"

namespace gem {
namespace {

MappingQuestion made_up_question(std::size_t steps) {
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8);
  question.train = testing::made_up_trace(steps, 2, 16, 3);
  return question;
}

TEST(CrossValidation, FoldsAreGroupsOfRequestsOrBlocks) {
  LoadTrace trace = testing::made_up_trace(7, 1, 8, 1);
  EXPECT_EQ(folds_of_steps(trace, 3), (std::vector<std::size_t>{0, 0, 0, 1, 1, 2, 2}));
  EXPECT_EQ(steps_outside({0, 0, 0, 1, 1, 2, 2}, 1), (std::vector<std::size_t>{5, 6, 0, 1, 2}));
  EXPECT_THROW(folds_of_steps(trace, 8), OptionError);
  trace.request_groups = {0, 1, 2, 3, 0, 1, 2};
  EXPECT_EQ(folds_of_steps(trace, 4), (std::vector<std::size_t>{0, 1, 2, 3, 0, 1, 2}));
  EXPECT_EQ(folds_of_steps(trace, 2), (std::vector<std::size_t>{0, 1, 0, 1, 0, 1, 0}));
  EXPECT_THROW(folds_of_steps(trace, 5), OptionError);
  trace.request_groups = {0, 1, 3, 3, 0, 1, 3};
  EXPECT_THROW(folds_of_steps(trace, 4), OptionError) << "no step of group 2";
  EXPECT_EQ(folds_of_steps(trace, 3), (std::vector<std::size_t>{0, 1, 2, 2, 0, 1, 2})) << "nor a fold of it";
  trace.request_groups.clear();
  trace.sequence = "resampled";
  EXPECT_THROW(folds_of_steps(trace, 2), OptionError) << "resampled steps have requests in common";
}

TEST(CrossValidation, TheIntervalCountsThatFoldsShareSteps) {
  const Expectation found = expectation_of({0.8, 0.9, 1.0});
  EXPECT_NEAR(found.mean, 0.9, 1e-12);
  EXPECT_NEAR(found.interval.high - 0.9, 4.302653 * 0.1 * std::sqrt(1.0 / 3 + 1.0 / 2), 1e-5);
  EXPECT_NEAR(found.interval.low + found.interval.high, 1.8, 1e-12);
}

TEST(CrossValidation, FoldsAreAskedForOrKnown) {
  MappingQuestion question = made_up_question(8);
  EXPECT_EQ(fold_count_of(question), 0u);
  question.train.request_groups = {0, 1, 2, 3, 0, 1, 2, 3};
  EXPECT_EQ(fold_count_of(question), 4u);
  // Such as a part of the steps, or of a mix, can be of.
  question.train.request_groups = {0, 2, 0, 2, 0, 2, 0, 2};
  EXPECT_EQ(fold_count_of(question), 2u);
  EXPECT_NO_THROW(prepare(question, {}));
  question.folds = 0;
  EXPECT_EQ(fold_count_of(question), 0u);
  question.folds = 2;
  EXPECT_NO_THROW(prepare(question, {}));
  question.folds = 1;
  EXPECT_THROW(prepare(question, {}), OptionError);
  question.folds.reset();
  question.test = question.train;
  EXPECT_EQ(fold_count_of(question), 0u);
}

TEST(CrossValidation, EveryMethodIsScoredOnStepsKeptAside) {
  const Communicator world = Communicator::world();
  MappingQuestion question = made_up_question(64);
  question.folds = 4;
  const CrossValidation validation = cross_validate(world, question);
  const auto compared = std::ranges::count_if(all_methods(), [](Method m) { return !entry_of(m).by_name_only; });
  ASSERT_GE(std::ssize(validation.methods), compared);  // gem may be there leaned, too
  EXPECT_EQ(validation.methods.front().name, "linear");
  EXPECT_EQ(validation.methods.front().whole.mean, 1.0);
  for (const ValidatedMethod& method : validation.methods) {
    EXPECT_EQ(method.of_folds.size(), 4u) << method.name;
    EXPECT_EQ(method.half > 0.0, method.name.find("leaned") == std::string::npos) << method.name;
    for (const double ratio : method.of_folds) EXPECT_EQ(world.max(ratio), world.min(ratio)) << "the same on all ranks";
  }
  // By hand: the mapping found without the second block, on it.
  const std::vector<std::size_t> folds = folds_of_steps(question.train, 4);
  MappingQuestion part = question;
  part.folds = 0;
  part.train = chosen_steps(question.train, steps_outside(folds, 1));
  part.test = steps_of(question.train, 16, 16);
  const MappingAnswer answer = find_mapping(world, part);
  if (!world.is_root()) return;
  const auto gem = std::ranges::find(validation.methods, std::string("gem"), &ValidatedMethod::name);
  ASSERT_NE(gem, validation.methods.end());
  EXPECT_DOUBLE_EQ(gem->of_folds[1], answer.compared.back().test.mean_s / answer.compared.front().test.mean_s);
}

// Each step's hot experts are hot in no other: what is fitted to steps is of no use, and mean loads of most are even.
TEST(CrossValidation, GemIsNeverChosenWorseThanTheBestBaseline) {
  const Communicator world = Communicator::world();
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    MappingQuestion question = made_up_question(12);
    RandomStream random{seed, 17u};
    for (std::uint32_t& count : question.train.counts.values()) count = random.below(16) == 0 ? 800 : 20;
    question.folds = 3;
    const CrossValidation validation = cross_validate(world, question);
    double rival = 2.0, chosen = 0.0;
    for (const ValidatedMethod& method : validation.methods) {
      if (!method.name.starts_with("gem")) rival = std::min(rival, method.whole.mean);
      chosen = method.whole.mean;  // the last: gem, or gem leaned
    }
    if (validation.instead) chosen = rival;
    EXPECT_LE(chosen, rival);
    const MappingAnswer answer = validated_mapping(world, question);
    EXPECT_EQ(answer.mapping().method, "gem");
    if (validation.instead) {
      const auto other = std::ranges::find(answer.mappings, method_name(*validation.instead), &Mapping::method);
      EXPECT_EQ(answer.mapping().expert_to_device, other->expert_to_device);
    }
    if (world.is_root()) {
      EXPECT_NE(answer.report.find("Cross-validated"), std::string::npos);
    }
  }
}

// As before, but other methods tear groups of experts apart: gem that isn't better leans, or is linear.
TEST(CrossValidation, GroupsOfExpertsStayTogetherWhateverIsChosen) {
  const Communicator world = Communicator::world();
  for (const std::uint64_t seed : {1u, 2u, 3u, 4u}) {
    MappingQuestion question = made_up_question(12);
    RandomStream random{seed, 17u};
    for (std::uint32_t& count : question.train.counts.values()) count = random.below(16) == 0 ? 800 : 20;
    question.folds = 3;
    question.expert_groups = 8;
    const MappingAnswer answer = validated_mapping(world, question);
    for (std::size_t layer = 0; layer < 2; ++layer)
      for (std::size_t expert = 0; expert < 16; expert += 2)
        EXPECT_EQ(answer.mapping().expert_to_device(layer, expert),
                  answer.mapping().expert_to_device(layer, expert + 1));
  }
}

TEST(Leaning, KeepsMeansAndNarrowsSteps) {
  const LoadTrace trace = testing::made_up_trace(400, 1, 8, 1);
  const auto mean_of = [](const LoadTrace& steps, std::size_t expert) {
    double sum = 0.0;
    for (std::size_t step = 0; step < steps.step_count(); ++step) sum += steps.counts(step, 0, expert);
    return sum / static_cast<double>(steps.step_count());
  };
  EXPECT_EQ(leaned(trace, 0.0, 1), trace);
  const LoadTrace half = leaned(trace, 0.5, 1), all = leaned(trace, 1.0, 1);
  for (std::size_t expert = 0; expert < 8; ++expert) {
    EXPECT_NEAR(mean_of(half, expert), mean_of(trace, expert), 0.2);
    for (std::size_t step = 0; step < 400; ++step) {
      EXPECT_NEAR(all.counts(step, 0, expert), mean_of(trace, expert), 1.0);
      EXPECT_NEAR(half.counts(step, 0, expert), (trace.counts(step, 0, expert) + mean_of(trace, expert)) / 2.0, 1.0);
    }
  }
}

}  // namespace
}  // namespace gem
