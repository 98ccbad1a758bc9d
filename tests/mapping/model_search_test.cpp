#include "mapping/model_search.hpp"
#include "mapping/deal.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/error.hpp"
#include "mapping/baselines.hpp"
#include "mapping/certificate.hpp"
#include "mapping/mapping_answer.hpp"
#include "mapping/mapping_question.hpp"
#include "mapping/mixed_steps.hpp"
#include "mapping/model_tail.hpp"
#include "model/expert_copies.hpp"
#include "platform/mpi/shared_counter.hpp"
#include "search/random_problem.hpp"
#include "search/redundant_experts.hpp"
#include "search/tail_search.hpp"
#include "search/water_filling.hpp"

namespace gem {
namespace {

std::uint64_t fingerprint(const ModelAnswer& answer) {
  std::uint64_t hash = 14695981039346656037u;
  const auto add = [&](std::int64_t value) { hash = (hash ^ static_cast<std::uint64_t>(value)) * 1099511628211u; };
  for (const LayerAnswer& layer : answer.layers) {
    add(layer.cost);
    add(static_cast<std::int64_t>(layer.start));
    for (std::int32_t device : layer.assignment) add(device);
  }
  return hash;
}

TEST(ModelSearch, SameMappingOnAnyNumberOfRanks) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 5, 3);
  const auto starts = [&](std::size_t) { return std::vector<Assignment>{}; };
  SearchOptions options;
  options.starts = 5;
  options.iterations = 20;
  const ModelAnswer answer = search_model(world, made.problems, starts, options);
  // The same units, one after the other, by hand.
  std::vector<LayerAnswer> expected;
  for (std::size_t layer = 0; layer < 3; ++layer) {
    LayerAnswer best{{}, INT64_MAX, 0};
    for (std::size_t start = 0; start < 5; ++start) {
      RandomStream random{options.seed, layer, start};
      const Assignment initial = random_assignment(made.problems[layer], random);
      const StartResult result = run_start(made.problems[layer], initial, random, {*options.iterations, {}});
      if (result.cost < best.cost) best = {result.assignment, result.cost, start};
    }
    expected.push_back(best);
  }
  for (std::size_t layer = 0; layer < 3; ++layer) {
    EXPECT_EQ(answer.layers[layer].cost, expected[layer].cost);
    EXPECT_EQ(answer.layers[layer].start, expected[layer].start);
    EXPECT_EQ(answer.layers[layer].assignment, expected[layer].assignment);
  }
  const std::vector<std::uint64_t> all = world.all_gather(fingerprint(answer));
  for (std::uint64_t other : all) EXPECT_EQ(other, all[0]);
  EXPECT_EQ(answer.starts_run, 15u);
  EXPECT_EQ(answer.iterations_run, 300u);
}

TEST(ModelSearch, NeverWorseThanWhereItStarts) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 6, 2);
  const Mapping packed = packed_mapping(PackedBy::Speed, CostModel(made.profile), made.trace, {});
  const auto starts = [&](std::size_t layer) { return std::vector<Assignment>{assignment_of(packed, layer)}; };
  const ModelAnswer answer = search_model(world, made.problems, starts, {1, 1, 0, 0.0, false});
  for (std::size_t layer = 0; layer < 2; ++layer)
    EXPECT_LE(answer.layers[layer].cost, cost_of(made.problems[layer], starts(layer)[0]));
}

TEST(ModelSearch, LayersOfDifferentExpertCountsAreSearchedAndProven) {
  const Communicator world = Communicator::world();
  MappingQuestion question;
  question.profile = testing::made_up_profile(2, 4);
  question.train = testing::made_up_uneven_trace(24, {8, 6, 5}, 4);
  question.test = testing::made_up_uneven_trace(24, {8, 6, 5}, 9);
  question.certify = true;
  question.folds = 0;
  prepare(question, {});
  const MappingAnswer answer = find_mapping(world, question);
  const CostModel model = cost_model_of(question);
  const std::vector<LayerProblem> problems = layer_problems(model, question.train);
  const Mapping& found = answer.mapping();
  EXPECT_NO_THROW(check_mapping(found, "found"));
  EXPECT_EQ(found.experts_of_layer, question.train.experts_of_layer);
  for (const Mapping& other : answer.mappings)
    for (std::size_t layer = 0; layer < 3; ++layer)
      EXPECT_LE(cost_of(problems[layer], assignment_of(found, layer)),
                cost_of(problems[layer], assignment_of(other, layer)))
          << other.method;
  for (std::size_t layer = 0; layer < 2; ++layer)  // those whose experts divide are searched whole
    EXPECT_NEAR(found.predicted_s[layer], found.lower_bound_s[layer], 1e-12);
  const std::vector<std::int32_t> homes = world.all_gather(found.expert_to_device(1, 5));
  for (const std::int32_t home : homes) EXPECT_EQ(home, found.expert_to_device(1, 5));

  for (const auto& spoil :
       {+[](MappingQuestion& q) { q.redundant_experts = 2; }, +[](MappingQuestion& q) { q.expert_groups = 2; },
        +[](MappingQuestion& q) {
          q.train = testing::made_up_uneven_trace(24, {8, 5, 6}, 4);
        }}) {
    MappingQuestion other = question;
    spoil(other);
    EXPECT_THROW(prepare(other, {}), UsageError);
  }
  Mapping given = found;
  EXPECT_EQ(fitted(given, question).expert_to_device, found.expert_to_device);
  given.layer_ids = {1, 0, 2};  // 8 experts for the layer of 6
  EXPECT_THROW(fitted(given, question), DataError);
}

TEST(ModelSearch, WhatIsOverIsNotDealt) {
  const Communicator world = Communicator::world();
  std::uint64_t run = 0, asked = 0;
  deal(
      world, 1000000, [&](std::size_t, const SharedCounter&) { ++run; },
      [&](std::size_t unit) {
        ++asked;
        return unit >= 3;
      });
  EXPECT_EQ(world.sum(run), 3u);
  EXPECT_EQ(world.sum(asked), 3u + static_cast<std::uint64_t>(world.size())) << "no rank asks again";
}

TEST(ModelSearch, ATimeLimitStillGivesEveryLayerAnAnswer) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 6, 4);
  SearchOptions options;
  options.starts = 1000000;
  options.iterations = 1000000;
  options.time_limit_s = 0.05;
  const ModelAnswer answer = search_model(
      world, made.problems, [](std::size_t) { return std::vector<Assignment>{}; }, options);
  EXPECT_LT(answer.elapsed_s, 20.0);
  for (std::size_t layer = 0; layer < 4; ++layer)
    EXPECT_EQ(answer.layers[layer].cost, cost_of(made.problems[layer], answer.layers[layer].assignment));
}

TEST(ModelSearch, TheCourseOfEveryStartFallsToItsResult) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 40, 8, 2);
  const auto none = [](std::size_t) { return std::vector<Assignment>{}; };
  const ModelAnswer answer = search_model(world, made.problems, none, {1, 3, 20, 0.0, false});
  if (!world.is_root()) return;
  std::vector<std::vector<std::int64_t>> last(2, std::vector<std::int64_t>(3, INT64_MAX));
  for (const StartPoint& point : answer.history) {
    std::int64_t& before = last[static_cast<std::size_t>(point.layer)][static_cast<std::size_t>(point.start)];
    EXPECT_LE(point.cost, before);
    before = point.cost;
  }
  for (std::size_t layer = 0; layer < 2; ++layer)
    EXPECT_EQ(*std::min_element(last[layer].begin(), last[layer].end()), answer.layers[layer].cost);
}

MappingQuestion made_up_question(std::size_t experts) {
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8);
  question.train = testing::made_up_trace(8, 1, experts, 3);
  return question;
}

TEST(MappingQuestion, TwoLevelsNeedExpertsThatDivide) {
  Selection nodes;
  nodes.topology.nodes = 2;
  for (const std::size_t experts : {10u, 16u}) {
    MappingQuestion question = made_up_question(experts);
    EXPECT_NO_THROW(prepare(question, nodes));
    question.levels = 2;
    if (experts == 16) {
      EXPECT_NO_THROW(prepare(question, nodes));
    } else {
      EXPECT_THROW(prepare(question, nodes), OptionError) << "nodes of 6 and 4 experts";
    }
  }
}

TEST(MappingQuestion, ResampledStepsAreSearchedOnAlone) {
  MappingQuestion searched = made_up_question(16);
  searched.train.sequence = "resampled";
  EXPECT_NO_THROW(prepare(searched, {}));
  MappingQuestion scored = made_up_question(16);
  scored.test = searched.train;
  EXPECT_THROW(prepare(scored, {}), UsageError);
  EXPECT_THROW(prepare(searched, {.train_steps = 4}), UsageError) << "the rest share their requests";
}

TEST(Certificate, ProvesOptimaOfSmallLayersOnEveryRank) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(8, 4, 30, 4, 3);
  std::vector<LayerAnswer> answers;
  for (std::size_t layer = 0; layer < 3; ++layer) {
    RandomStream random{layer};
    const Assignment any = random_assignment(made.problems[layer], random);
    answers.push_back({any, cost_of(made.problems[layer], any), 0});
  }
  const std::vector<Certificate> certificates = certify(world, made.problems, answers, {});
  for (std::size_t layer = 0; layer < 3; ++layer) {
    std::int64_t optimum = INT64_MAX;
    testing::for_each_assignment(made.problems[layer], [&](const Assignment& assignment) {
      optimum = std::min(optimum, cost_of(made.problems[layer], assignment));
    });
    EXPECT_EQ(certificates[layer].cost, optimum);
    EXPECT_EQ(certificates[layer].lower_bound, optimum);
    EXPECT_EQ(cost_of(made.problems[layer], answers[layer].assignment), optimum);
  }
}

TEST(Certificate, ASearchThatWasGivenUpProvesNothing) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(8, 4, 30, 4);
  RandomStream random{1};
  const Assignment any = random_assignment(made.problems[0], random);
  std::vector<LayerAnswer> answers{{any, cost_of(made.problems[0], any), 0}};
  const std::vector<Certificate> given_up = certify(world, made.problems, answers, {}, 1);
  EXPECT_LT(given_up[0].lower_bound, given_up[0].cost);
  const std::vector<Certificate> proven = certify(world, made.problems, answers, {});
  EXPECT_LE(given_up[0].lower_bound, proven[0].cost);
  EXPECT_EQ(proven[0].lower_bound, proven[0].cost);
}

// More sets of experts than are searched device by device; given up early, they still bound better than water filling.
TEST(Certificate, ProvesLayersByHalvesOfTheirDevices) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(20, 4, 2, 6, 2);
  std::vector<LayerAnswer> answers;
  for (std::size_t layer = 0; layer < 2; ++layer) {
    RandomStream random{layer};
    const StartResult good =
        run_start(made.problems[layer], random_assignment(made.problems[layer], random), random, {50, {}});
    answers.push_back({good.assignment, good.cost, 0});
  }
  std::vector<LayerAnswer> same = answers;
  const std::vector<Certificate> given_up = certify(world, made.problems, same, {}, 1);
  const std::vector<Certificate> proven = certify(world, made.problems, answers, {});
  for (std::size_t layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(proven[layer].lower_bound, proven[layer].cost);
    EXPECT_EQ(cost_of(made.problems[layer], answers[layer].assignment), proven[layer].cost);
    EXPECT_LE(given_up[layer].lower_bound, proven[layer].cost);
    EXPECT_GE(given_up[layer].lower_bound, WaterFilling(made.problems[layer].tables()).bound(made.problems[layer]));
  }
}

TEST(Certificate, LargeLayersAreBoundedBelow) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(64, 8, 20, 4);
  RandomStream random{1};
  const Assignment any = random_assignment(made.problems[0], random);
  std::vector<LayerAnswer> answers{{any, cost_of(made.problems[0], any), 0}};
  const std::vector<Certificate> certificates = certify(world, made.problems, answers, {});
  const StartResult good = run_start(made.problems[0], any, random, {20, {}});
  EXPECT_EQ(certificates[0].cost, answers[0].cost);
  EXPECT_LE(certificates[0].lower_bound, good.cost);
  EXPECT_GT(certificates[0].lower_bound, good.cost / 2);
}

TEST(ModelTail, LowersTheSlowestStepsAlikeOnAnyNumberOfRanks) {
  const Communicator world = Communicator::world();
  const auto made = testing::made_up_problem(16, 4, 60, 9, 3);
  const auto none = [](std::size_t) { return std::vector<Assignment>{}; };
  const SearchOptions options{1, 3, 20, 0.0, false};
  const ModelAnswer answer = search_model(world, made.problems, none, options);
  const auto tail = [&](const std::vector<LayerAnswer>& layers) {
    std::vector<Assignment> assignments;
    for (const LayerAnswer& layer : layers) assignments.push_back(layer.assignment);
    const std::vector<std::int64_t> totals = step_totals(made.problems, assignments);
    return mean_of_slowest(std::vector<double>(totals.begin(), totals.end()), TailOptions{}.share);
  };
  std::vector<LayerAnswer> lowered = answer.layers;
  improve_model_tail(world, made.problems, lowered, options);
  EXPECT_LT(tail(lowered), tail(answer.layers));
  // What one rank would have found, attempt by attempt.
  std::vector<Assignment> assignments, expected;
  for (const LayerAnswer& layer : answer.layers) assignments.push_back(layer.assignment);
  double least = INFINITY;
  for (std::size_t attempt = 0; attempt < options.starts; ++attempt) {
    const auto improved = improve_tail(made.problems, assignments, RandomStream{options.seed, attempt}, TailOptions{});
    const std::vector<std::int64_t> totals = step_totals(made.problems, improved);
    const double value = mean_of_slowest(std::vector<double>(totals.begin(), totals.end()), TailOptions{}.share);
    if (value >= least) continue;
    least = value;
    expected = improved;
  }
  for (std::size_t layer = 0; layer < 3; ++layer) EXPECT_EQ(lowered[layer].assignment, expected[layer]);
}

// No field as it is by default.
LatencyProfile full_profile() {
  LatencyProfile profile = testing::made_up_profile(3, 4);
  const std::size_t devices = profile.device_count(), points = profile.points.size();
  profile.device_kind = "host";
  profile.weight_dtype = "f32";
  profile.expert = {64, 128};
  profile.experts_per_device = 4;
  profile.rule = testing::load_rules()[1];
  for (DeviceDescription& device : profile.devices) device.kind = profile.device_kind;
  profile.devices[1] = {"host", "made-up", "node7", "GPU-1", 1, 1.28};
  profile.p95_s = Matrix<double>(devices, points, 2e-5);
  profile.samples_s = Cube<float>(devices, points, 2, 3e-5f);
  profile.settled = Matrix<std::uint8_t>(devices, points, 1);
  profile.sm_clock_hz = Matrix<double>(devices, points, 1.7e9);
  profile.power_w = Matrix<double>(devices, points, 300.0);
  profile.temperature_c = Matrix<double>(devices, points, 50.0);
  profile.throttle_reasons = Matrix<std::uint64_t>(devices, points, 4);
  profile.drift = {0.0, 0.01, 0.02};
  profile.exchange = {"mpi", Matrix<double>(devices, devices, 1e-6), Matrix<double>(devices, devices, 1e10)};
  profile.program = {"python3 -m engine", "an engine's kernel (2)", "32:16,64"};
  return profile;
}

LoadTrace full_trace(std::size_t steps, std::uint64_t seed) {
  LoadTrace trace = testing::made_up_trace(steps, 2, 6, seed);
  trace.phase = "decode";
  trace.part = "train";
  trace.top_k = 4;
  trace.tokens_per_step = 256;
  return trace;
}

TEST(MappingQuestion, EveryRankGetsAllOfTracesAndProfile) {
  const Communicator world = Communicator::world();
  MappingQuestion question;
  if (world.is_root()) {
    question.profile = full_profile();
    question.train = full_trace(7, 9);
    question.test = full_trace(5, 10);
    question.sample = Sample::OtherTask;
  }
  share(world, question);
  EXPECT_EQ(question.train, full_trace(7, 9));
  EXPECT_EQ(question.test, full_trace(5, 10));
  EXPECT_EQ(question.sample, Sample::OtherTask);
  EXPECT_EQ(question.profile, full_profile());
}

TEST(SharedCounter, DealsEveryNumberOnce) {
  const Communicator world = Communicator::world();
  SharedCounter counter(world);
  std::int64_t sum = 0, mine = 0;
  for (std::int64_t number = counter.next(); number < 1000; number = counter.next()) {
    sum += number;
    ++mine;
  }
  EXPECT_EQ(world.sum(mine), 1000);
  EXPECT_EQ(world.sum(sum), 999 * 1000 / 2);
  counter.close();
}

TEST(ModelSearch, RedundantExpertsHelpWhereOneIsHot) {
  const Communicator world = Communicator::world();
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8);
  question.train = testing::made_up_trace(40, 2, 16, 3);
  for (std::size_t step = 0; step < 40; ++step)
    for (std::size_t layer = 0; layer < 2; ++layer) question.train.counts(step, layer, 5) += 900;
  const MappingAnswer plain = find_mapping(world, question);
  question.redundant_experts = 4;
  prepare(question, {});
  const MappingAnswer answer = find_mapping(world, question);
  EXPECT_NO_THROW(check_mapping(answer.mapping(), "found"));
  EXPECT_EQ(answer.mapping().redundant_count(), 4u);
  for (std::size_t layer = 0; layer < 2; ++layer) {
    EXPECT_GE(homes_of(answer.mapping(), layer).of(5).size(), 3u);
    EXPECT_LT(answer.mapping().predicted_s[layer], 0.7 * plain.mapping().predicted_s[layer]);
    EXPECT_LE(answer.mapping().lower_bound_s[layer], answer.mapping().predicted_s[layer]);
  }
  for (const Mapping& other : answer.mappings) {
    EXPECT_NO_THROW(check_mapping(other, other.method));
    const bool packs = entry_of(parse_method(other.method)).places_copies;
    EXPECT_EQ(other.redundant_count(), packs ? 4u : 0u) << other.method;
  }
  const std::vector<std::int32_t> homes = answer.mapping().expert_to_device.values();
  for (std::size_t i = 0; i < homes.size(); ++i) EXPECT_EQ(world.max(homes[i]), world.min(homes[i]));
}

TEST(ModelSearch, RedundantExpertsThatDoHarmAreCalledSo) {
  const Communicator world = Communicator::world();
  MappingQuestion question;
  question.profile = testing::made_up_profile(4, 8);
  question.train = testing::made_up_trace(40, 2, 16, 3);
  question.redundant_experts = 4;
  const auto report_with = [&](std::uint32_t hot, std::uint32_t others) {
    for (std::size_t step = 0; step < 40; ++step)
      for (std::size_t layer = 0; layer < 2; ++layer)
        for (std::size_t e = 0; e < 16; ++e) question.train.counts(step, layer, e) = e == 5 ? hot : others;
    return find_mapping(world, question).report;
  };
  const std::string harmful = report_with(2, 2), helpful = report_with(900, 20);
  if (!world.is_root()) return;
  EXPECT_NE(harmful.find("here they do harm"), std::string::npos) << harmful;
  EXPECT_EQ(helpful.find("here they do harm"), std::string::npos) << helpful;
}

// 16 experts and 8 copies on 12 devices, 4 of each: the experts alone don't divide.
TEST(ModelSearch, ExpertsAndCopiesNeedOnlyDivideTogether) {
  const Communicator world = Communicator::world();
  for (const auto& [devices, redundant] : {std::pair{12u, 8u}, std::pair{5u, 4u}, std::pair{6u, 20u}}) {
    MappingQuestion question;
    question.profile = testing::made_up_profile(devices, 8);
    question.train = testing::made_up_trace(20, 2, 16, 3);
    question.redundant_experts = redundant;
    prepare(question, {});
    const MappingAnswer answer = find_mapping(world, question);
    EXPECT_EQ(answer.mappings.front().method, "linear");
    for (const Mapping& mapping : answer.mappings) {
      EXPECT_NO_THROW(check_mapping(mapping, mapping.method));
      // The paper's method has no copies; experts need not divide then.
      EXPECT_EQ(mapping.redundant_count(), mapping.method == "paper" ? 0u : redundant) << mapping.method;
    }
    if (!world.is_root()) continue;
    for (const ComparedMethod& compared : answer.compared)
      EXPECT_GE(compared.train.mean_s, answer.compared.back().train.mean_s) << compared.name;
    EXPECT_LE(answer.bounds.train_s, answer.compared.back().train.mean_s);
  }
}

TEST(ModelSearch, RedundantExpertsThatCannotBeAreRefused) {
  const auto refused = [](std::size_t redundant, Method method, std::size_t groups) {
    MappingQuestion question;
    question.profile = testing::made_up_profile(4, 8);
    question.train = testing::made_up_trace(4, 1, 16, 3);
    question.redundant_experts = redundant;
    question.method = method;
    question.expert_groups = groups;
    EXPECT_THROW(prepare(question, {}), UsageError) << redundant;
  };
  refused(3, default_method(), 1);
  refused(52, default_method(), 1);
  refused(4, default_method(), 4);
  refused(4, parse_method("paper"), 1);
}

TEST(MappingQuestion, LargeLayersAreSearchedOnFewerStepsUnlessAskedFor) {
  MappingQuestion question;
  question.mixed_steps = {};
  question.train = testing::made_up_trace(4, 1, large_layer - 1, 1);
  EXPECT_EQ(mixed_steps_of(question), default_mixed_steps);
  question.train = testing::made_up_trace(4, 1, large_layer, 1);
  EXPECT_EQ(mixed_steps_of(question), mixed_steps_of_large);
  EXPECT_EQ(steps_to_search_on(question).step_count(), mixed_steps_of_large);
  question.mixed_steps = 0;
  EXPECT_EQ(steps_to_search_on(question).step_count(), 4u);
}

TEST(ModelSearch, LargeLayersAreDisturbedLessOftenWhereNothingElseIsSaid) {
  const auto large = testing::made_up_problem(large_layer, 8, 4, 1).problems[0];
  const auto small = testing::made_up_problem(large_layer - 8, 8, 4, 1).problems[0];
  EXPECT_EQ(iterations_of({}, small), default_iterations);
  EXPECT_EQ(iterations_of({}, large), iterations_of_large);
  EXPECT_EQ(iterations_of({.iterations = 0}, large), 0u);
}

}  // namespace
}  // namespace gem
